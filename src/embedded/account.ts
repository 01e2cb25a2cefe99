import { execFileSync } from "node:child_process"
import { statSync } from "node:fs"
import { join } from "node:path"

/** Who runs the server: ourselves, or for root (whom the server refuses) somebody without rights. */
export interface Account {
  readonly name: string
  /** To be spread into the options of a child process. */
  readonly as: { readonly uid?: number; readonly gid?: number }
}

const number = (flag: "-u" | "-g", name: string): number | undefined => {
  try {
    return Number(execFileSync("id", [flag, name], { stdio: ["ignore", "pipe", "ignore"] }))
  } catch {
    return undefined
  }
}

const named = (name: string): Account | undefined => {
  const uid = number("-u", name)
  const gid = number("-g", name)
  return uid === undefined || gid === undefined ? undefined : { name, as: { uid, gid } }
}

const ownerOf = (path: string): Account | undefined => {
  try {
    const { uid, gid } = statSync(path)
    return uid === 0 ? undefined : { name: `uid ${uid}`, as: { uid, gid } }
  } catch {
    return undefined
  }
}

/** The account for the data in `directory`: as root its owner when there is data, else `postgres`, else `nobody`. */
export const serverAccount = (directory: string): Account =>
  process.getuid?.() === 0
    ? (ownerOf(join(directory, "cluster", "data")) ??
      named("postgres") ??
      named("nobody") ?? { name: "uid 65534", as: { uid: 65_534, gid: 65_534 } })
    : { name: "the current user", as: {} }
