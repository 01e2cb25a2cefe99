import { Effect } from "effect"
import { type ChildProcess, execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { readIfPresent, writeDurably } from "./durableFile.ts"
import { attempt, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import type { Home } from "./home.ts"

/** Name of the superuser, as which the service connects. */
export const USER = "postgres"

/** The files of one database cluster. */
export interface Cluster {
  /** Data directory of the server. */
  readonly data: string
  readonly password: string
  /** Holds the TCP port of the last start. */
  readonly portFile: string
}

/** What the server's programs get to see of our environment: no variable of ours may reach them or configure them. */
export const programEnvironment = (): NodeJS.ProcessEnv =>
  process.platform === "win32"
    ? { PATH: process.env["PATH"], SystemRoot: process.env["SystemRoot"] }
    : { PATH: process.env["PATH"] ?? "/usr/bin:/bin" }

const run = (home: Home, program: string, args: ReadonlyArray<string>, input?: string) =>
  Effect.callback<void, EmbeddedPostgresError>((resume) => {
    const child: ChildProcess = execFile(
      program,
      args,
      { ...home.account.as, cwd: "/", env: programEnvironment() },
      (error, _stdout, stderr) =>
        resume(
          error === null
            ? Effect.void
            : new EmbeddedPostgresError({
                message: `cannot create the data of the local Postgres server in ${home.path}: ${error.message}\n${stderr.slice(-2000)}`,
                cause: error
              })
        )
    )
    child.stdin?.end(input ?? "")
    return Effect.sync(() => child.kill("SIGTERM"))
  })

/**
 * Makes the cluster on the first start, with the database `database` in it. A first start that was cut short is done
 * again: the file `initialised` is written last.
 */
export const ensureCluster = Effect.fnUntraced(function* (home: Home, bin: string, database: string) {
  const folder = join(home.path, "cluster")
  const data = join(folder, "data")
  const passwordFile = join(folder, "password")
  const done = join(folder, "initialised")
  const cluster = (password: string): Cluster => ({ data, password, portFile: join(folder, "port") })

  const known = yield* attempt(`read ${passwordFile}`, () =>
    existsSync(done) ? readIfPresent(passwordFile) : undefined
  )
  if (known !== undefined) return cluster(known)

  yield* Effect.logInfo(`creating the local Postgres server's data in ${folder}`)
  const password = randomBytes(24).toString("hex")
  // Under a name of its own: the initdb of a service that was killed may still be writing to the last one.
  const draft = join(folder, `draft-${randomBytes(4).toString("hex")}`)
  yield* attempt(`write to ${folder}`, () => {
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
    mkdirSync(folder, { recursive: true })
    chmodSync(folder, 0o700)
    const { uid, gid } = home.account.as
    if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
    writeDurably(passwordFile, `${password}\n`)
  })
  const collation = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
  const access = ["--username", USER, "--auth=scram-sha-256", "--pwfile", passwordFile]
  yield* run(home, join(bin, "initdb"), ["--pgdata", draft, ...collation, ...access])
  // The single-user backend spares a start with a connection just for this.
  const create = `create database "${database}"\n`
  yield* run(home, join(bin, "postgres"), ["--single", "-D", draft, "postgres"], create)
  yield* attempt(`write to ${folder}`, () => {
    const rules = readFileSync(join(draft, "pg_hba.conf"), "utf8").replace(/^(local|host)\s.*$/gm, "")
    writeFileSync(
      join(draft, "pg_hba.conf"),
      `${rules.trim()}\nlocal all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n`
    )
    renameSync(draft, data)
    writeDurably(done, "")
  })
  return cluster(password)
})
