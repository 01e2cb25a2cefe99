import {
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync
} from "node:fs"
import { dirname } from "node:path"

const flush = (path: string) => {
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Root gives what it makes to the owner of the folder around it, who may be the one to start next time. */
const shareWithOwner = (path: string) => {
  if (process.getuid?.() !== 0) return
  const owner = statSync(dirname(path))
  chownSync(path, owner.uid, owner.gid)
}

/** Makes a folder of mode 0700 unless it is there. */
export const makePrivateFolder = (path: string) => {
  if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) shareWithOwner(path)
}

/**
 * Writes a file of mode 0600 so that a reader, also one after a crash, sees all of it or the file before.
 */
export const writeDurably = (path: string, content: string) => {
  const draft = `${path}.${process.pid}.draft`
  const fd = openSync(draft, "w", 0o600)
  try {
    writeSync(fd, content)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  shareWithOwner(draft)
  renameSync(draft, path)
  // A folder cannot be opened on Windows; the rename is journalled there.
  if (process.platform !== "win32") flush(dirname(path))
}

/** The text of a file, trimmed; undefined while there is no such file. */
export const readIfPresent = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8").trim()
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}
