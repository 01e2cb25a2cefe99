import { closeSync, fstatSync, openSync, readSync } from "node:fs"

const TAIL_BYTES = 2000

/** What was appended to a log since it had `from` bytes; of much, the end. */
export const readFrom = (path: string, from: number): string => {
  const fd = openSync(path, "r")
  try {
    const start = Math.max(from, fstatSync(fd).size - TAIL_BYTES)
    const buffer = Buffer.alloc(TAIL_BYTES)
    return buffer.toString("utf8", 0, readSync(fd, buffer, 0, TAIL_BYTES, start)).trim()
  } finally {
    closeSync(fd)
  }
}
