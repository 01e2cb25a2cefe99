import { chownSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import type { Home } from "./home.ts"

const PREFIX = "aitp-pg-"
/** Longest path of a unix socket that every system takes, in bytes. */
const MAX_BYTES = 103

const fits = (folder: string) => Buffer.byteLength(`${folder}/${PREFIX}123456/.s.PGSQL.12345`) <= MAX_BYTES

/**
 * A new folder for the server's socket, empty on Windows (TCP only). Not beside the data, whose path may be longer
 * than a socket's may, and for root not in a temporary folder of its own, which the server's account cannot enter.
 */
export const makeSocketFolder = ({ account }: Home): string => {
  if (process.platform === "win32") return ""
  const { uid, gid } = account.as
  const folder = mkdtempSync(join(uid === undefined && fits(tmpdir()) ? tmpdir() : "/tmp", PREFIX))
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
  return folder
}

/** Removes the folder if it is one of ours. */
export const removeSocketFolder = (folder: string) => {
  if (basename(folder).startsWith(PREFIX)) rmSync(folder, { recursive: true, force: true })
}
