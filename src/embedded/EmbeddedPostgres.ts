import { Effect, Redacted } from "effect"
import { join } from "node:path"
import { findBinaries } from "./binaries.ts"
import { ensureCluster, USER } from "./cluster.ts"
import { writeDurably } from "./durableFile.ts"
import { attempt } from "./EmbeddedPostgresError.ts"
import { findHome } from "./home.ts"
import { claimOwnership } from "./ownership.ts"
import { type SecretFiles, secretFiles } from "./secrets.ts"
import { runServer } from "./server.ts"

export interface EmbeddedOptions {
  /** Folder of the data, relative to the working directory. */
  readonly directory: string
  /** Database made on the first start. */
  readonly database?: string
  /** Folder of the system for what root cannot keep in `directory`. */
  readonly stateFolder?: string
  /** Further server settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A running local server. */
export interface EmbeddedPostgres {
  /** Through its unix socket; on Windows through TCP. */
  readonly address: {
    readonly host: string
    readonly port: number
    readonly username: string
    readonly password: Redacted.Redacted<string>
    readonly database: string
  }
  /** The same over TCP, for other processes of this machine; also in the file `database-url`. */
  readonly url: Redacted.Redacted<string>
  /** Folder that holds everything: data, log, secrets, `database-url`. */
  readonly home: string
  /** Process that served at the start; another one after it had to be started again. */
  readonly pid: number
  readonly secrets: SecretFiles
}

/**
 * Runs an own Postgres server until the scope closes, which stops it. Fails with EmbeddedPostgresError when another
 * process uses the same folder, when there are no programs for this platform, or when the server does not start.
 */
export const startEmbeddedPostgres = Effect.fn("EmbeddedPostgres.start")(function* (
  options: EmbeddedOptions
) {
  const stateFolder = options.stateFolder ?? "/var/lib/aitp-control-plane"
  const database = options.database ?? "aitp_control_plane"
  const home = yield* findHome(options.directory, stateFolder)
  if (home.relocatedFrom !== undefined)
    yield* Effect.logInfo(
      `the data of ${home.relocatedFrom} is kept in ${home.path}, where the server's account can reach it`
    )
  const bin = yield* findBinaries(home.account, stateFolder)
  yield* claimOwnership(home.path)
  const cluster = yield* ensureCluster(home, bin, database)
  const server = yield* runServer({ home, bin, cluster, settings: options.settings ?? {} })

  const url = `postgres://${USER}:${cluster.password}@127.0.0.1:${server.port}/${database}`
  const urlFile = join(home.path, "database-url")
  yield* attempt(`write ${urlFile}`, () => writeDurably(urlFile, `${url}\n`))
  const running: EmbeddedPostgres = {
    address: {
      host: server.socketFolder === "" ? "127.0.0.1" : server.socketFolder,
      port: server.port,
      username: USER,
      password: Redacted.make(cluster.password),
      database
    },
    url: Redacted.make(url),
    home: home.path,
    pid: server.pid,
    secrets: secretFiles(home.path)
  }
  return running
})
