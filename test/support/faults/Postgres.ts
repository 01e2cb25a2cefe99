import { execFileSync } from "node:child_process"
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, References, type Scope } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import type { SqlClient } from "effect/sql"
import { serverAccount } from "../../../src/embedded/account.ts"
import { startEmbeddedPostgres } from "../../../src/embedded/EmbeddedPostgres.ts"
import { readPostmaster } from "../../../src/embedded/postmaster.ts"
import { eventually } from "../db/eventually.ts"

/** Programs of the system. */
const MOUNT = "mount"
const UNMOUNT = "umount"
/** Size of the disk that can be filled. */
const DISK = "160m"
const TABLESPACE = "small_disk"

/** A database server of the test's own that can be made to fail. Each effect comes back once it has taken hold. */
export interface Postgres {
  readonly host: string
  readonly port: number
  /** Whether there is a small disk for the databases, so that it can be filled; mounting one takes root. */
  readonly hasSmallDisk: boolean
  /** An empty database until the scope closes; its URL, straight to the server. */
  readonly database: (name: string) => Effect.Effect<string, never, Scope.Scope>
  /** SIGKILL to the postmaster; it is started again within about a second by what supervises it. */
  readonly kill: Effect.Effect<void>
  /** Waits until statements are answered. */
  readonly ready: Effect.Effect<void>
  /** SIGSTOP, or SIGCONT, to the postmaster and all its processes. */
  readonly signalAll: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
  readonly readOnly: (on: boolean) => Effect.Effect<void>
  /** Fills the small disk to the last block, or makes room again. */
  readonly fillDisk: (full: boolean) => Effect.Effect<void>
}

/** A small disk for the account of the server, unmounted with the scope; whether it could be mounted. */
const makeDisk = (
  folder: string,
  { gid, uid }: { readonly uid?: number; readonly gid?: number }
): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      if (uid === undefined || gid === undefined) return false
      mkdirSync(join(folder, "data"), { recursive: true })
      try {
        execFileSync(MOUNT, ["-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", folder], { stdio: "ignore" })
      } catch {
        return false
      }
      mkdirSync(join(folder, "data"), { mode: 0o700 })
      chownSync(join(folder, "data"), uid, gid)
      return true
    }),
    (mounted) => Effect.sync(() => void (mounted && execFileSync(UNMOUNT, ["-l", folder])))
  )

/** Processes of this system whose parent is this one. */
const childrenOf = (pid: number): ReadonlyArray<number> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([child = 0, parent]) => (parent === pid && child > 0 ? [child] : []))

const signalIfAlive = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended meanwhile
  }
}

/**
 * Starts the server; stopped and removed with the scope. It does not flush to the disk: what is killed are processes, and
 * what they have written the system keeps.
 */
export const startPostgres: Effect.Effect<Postgres, never, Scope.Scope> = Effect.gen(function* () {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "faults-pg-"))
      chmodSync(folder, 0o711) // for root: the server's account must pass
      return folder
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const diskFolder = join(root, "disk")
  const directory = join(root, "server")
  // Before the server, so that the disk is there until the server has stopped.
  const hasSmallDisk = yield* makeDisk(diskFolder, serverAccount(directory).as)
  const server = yield* startEmbeddedPostgres({
    directory,
    settings: { fsync: "off", full_page_writes: "off", max_connections: "200", log_min_messages: "fatal" }
  }).pipe(Effect.orDie)
  const data = join(server.home, "cluster", "data")
  const url = (database: string) => {
    const it = new URL(Redacted.value(server.url))
    it.pathname = `/${database}`
    return it.href
  }
  /** Past every limit that the faults set. */
  const admin = <A>(f: (sql: SqlClient.SqlClient) => Effect.Effect<A, unknown>) =>
    PgClient.makeClient({
      url: Redacted.make(Redacted.value(server.url)),
      connectTimeout: "2 seconds"
    }).pipe(Effect.flatMap(f), Effect.scoped, Effect.provide(Reactivity.layer))

  if (hasSmallDisk)
    yield* Effect.orDie(
      admin(
        (sql) =>
          sql`create tablespace ${sql(TABLESPACE)} location ${sql.literal(`'${join(diskFolder, "data")}'`)}`
      )
    )
  const postmaster = () => readPostmaster(data)?.pid ?? 0
  const ready = Effect.asVoid(
    eventually(
      admin((sql) => sql`select 1`),
      () => true,
      60_000
    )
  )
  const ballast = join(diskFolder, "ballast")
  const { port } = server.address

  const postgres: Postgres = {
    host: "127.0.0.1",
    port,
    hasSmallDisk,
    ready,
    database: (name) =>
      Effect.as(
        Effect.acquireRelease(
          Effect.orDie(
            admin((sql) =>
              hasSmallDisk
                ? sql`create database ${sql(name)} tablespace ${sql(TABLESPACE)}`
                : sql`create database ${sql(name)}`
            )
          ),
          () => Effect.ignore(admin((sql) => sql`drop database if exists ${sql(name)} with (force)`))
        ),
        url(name)
      ),
    kill: Effect.sync(() => signalIfAlive(postmaster(), "SIGKILL")),
    signalAll: (signal) =>
      Effect.sync(() => {
        const pid = postmaster()
        // The parent first when stopping, so that nothing new appears behind our back.
        const all = [pid, ...childrenOf(pid)]
        for (const each of signal === "SIGSTOP" ? all : all.toReversed()) signalIfAlive(each, signal)
        if (signal === "SIGSTOP") for (const each of childrenOf(pid)) signalIfAlive(each, signal)
      }),
    readOnly: (on) =>
      Effect.asVoid(
        eventually(
          admin((sql) =>
            Effect.andThen(
              on
                ? sql`alter system set default_transaction_read_only = on`
                : sql`alter system reset default_transaction_read_only`,
              sql`select pg_reload_conf()`
            )
          )
        )
      ),
    fillDisk: (full) =>
      Effect.sync(() => {
        if (!full) rmSync(ballast, { force: true })
        else
          try {
            for (let block = Buffer.alloc(1 << 20); ;) writeFileSync(ballast, block, { flag: "a" })
          } catch {
            // full
          }
      })
  }
  return postgres
}).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
