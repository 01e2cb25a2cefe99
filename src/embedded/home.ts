import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import { type Account, serverAccount } from "./account.ts"
import { readIfPresent, writeDurably } from "./durableFile.ts"
import { attempt, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

export interface Home {
  /** Absolute folder that holds the cluster, its log and the development secrets. */
  readonly path: string
  readonly account: Account
  /** Set when the data could not be where it was asked to be. */
  readonly relocatedFrom?: string
}

const canEnter = (path: string, account: Account) => {
  if (account.as.uid === undefined) return true
  try {
    execFileSync("/bin/sh", ["-c", 'cd "$1"', "sh", path], { ...account.as, cwd: "/", stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/**
 * Where the data lives: in `directory`, unless root asked for a folder that the server's account cannot enter, such
 * as one under /root. Then it is a folder of the same installation below `stateFolder`, and `directory` keeps a file
 * LOCATION that names it and is followed from then on.
 */
export const findHome = Effect.fnUntraced(function* (directory: string, stateFolder: string) {
  const asked = resolve(directory)
  return yield* attempt(`use the folder ${asked}`, (): Home => {
    const pointer = join(asked, "LOCATION")
    const moved = readIfPresent(pointer)
    if (moved !== undefined && existsSync(moved))
      return { path: moved, account: serverAccount(moved), relocatedFrom: asked }

    // Others may pass through root's folder, not list it: the server's own folder is inside.
    const mode = process.getuid?.() === 0 ? 0o711 : 0o700
    mkdirSync(asked, { recursive: true, mode })
    const account = serverAccount(asked)
    if (canEnter(asked, account)) return { path: realpathSync(asked), account }
    if (existsSync(join(asked, "cluster")))
      throw new EmbeddedPostgresError({
        message: `the data in it cannot be reached by ${account.name}, who would run the server; let others pass through the folders above it (chmod o+x), or start as its owner`
      })
    // Of this very folder: who removes it and makes it anew gets new data, as anywhere else.
    const { birthtimeMs, ino } = statSync(asked)
    const identity = `${realpathSync(asked)} ${ino} ${birthtimeMs}`
    const id = createHash("sha256").update(identity).digest("hex").slice(0, 16)
    const path = join(stateFolder, id)
    mkdirSync(path, { recursive: true, mode })
    writeDurably(pointer, `${path}\n`)
    return { path: realpathSync(path), account, relocatedFrom: asked }
  })
})
