import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, existsSync, openSync, renameSync, statSync } from "node:fs"
import { join } from "node:path"
import { type Cluster, programEnvironment } from "./cluster.ts"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import type { Home } from "./home.ts"
import { isServerOf, readPostmaster } from "./postmaster.ts"
import { isAlive } from "./processes.ts"
import { readFrom } from "./serverLog.ts"

export interface Installation {
  readonly home: Home
  readonly bin: string
  readonly cluster: Cluster
  /** Server settings beyond ours, as in postgresql.conf. */
  readonly settings: Readonly<Record<string, string>>
}

const LOG_LIMIT_BYTES = 5_000_000

const openLog = (path: string) => {
  if (existsSync(path) && statSync(path).size > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`)
  const fd = openSync(path, "a", 0o600)
  return { fd, from: statSync(path).size }
}

/**
 * A stale postmaster.pid may name a process that lives but is another one, because the system has given the number
 * away again. The server ignores that one number when told that it is its grandparent's, and still refuses to start
 * while any process is attached to the data's shared memory.
 */
const ignoreStaleNumber = (data: string): NodeJS.ProcessEnv => {
  const left = readPostmaster(data)
  return left === undefined || !isAlive(left.pid) || isServerOf(data, left.pid)
    ? {}
    : { PG_GRANDPARENT_PID: String(left.pid) }
}

interface Launched {
  readonly pid: number
  /** What the server has logged since this start. */
  readonly log: () => string
}

/** Starts the server's process and does not wait for it to be ready; the caller stops it. */
export const launch = ({ bin, cluster, home, settings }: Installation, port: number, socketFolder: string) =>
  Effect.callback<Launched, EmbeddedPostgresError>((resume) => {
    const logFile = join(home.path, "server.log")
    const { fd, from } = openLog(logFile)
    const options = Object.entries({
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: socketFolder,
      unix_socket_permissions: "0700",
      max_connections: "200",
      ...settings
    }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const child: ChildProcess = spawn(join(bin, "postgres"), ["-D", cluster.data, ...options], {
      ...home.account.as,
      cwd: "/",
      // A session of its own: Ctrl-C in the terminal must reach the service alone, which then stops the server last.
      detached: true,
      stdio: ["ignore", fd, fd],
      env: { ...programEnvironment(), ...ignoreStaleNumber(cluster.data) }
    })
    closeSync(fd)
    child.unref()
    child.once("error", (cause) =>
      resume(
        new EmbeddedPostgresError({
          message: `the local Postgres server cannot be run: ${cause.message}`,
          cause
        })
      )
    )
    const { pid } = child
    if (pid !== undefined) resume(Effect.succeed({ pid, log: () => readFrom(logFile, from) }))
  })
