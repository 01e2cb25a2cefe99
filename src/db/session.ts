import type { PgConnection } from "@effect/sql-pg"
import type { Address } from "./DbTarget.ts"

/** Limits that the server itself holds for a session; milliseconds, 0 = none. */
export interface SessionLimits {
  readonly applicationName: string
  readonly statementTimeoutMs: number
  readonly lockTimeoutMs: number
  /**
   * A client that stops inside a transaction loses it after this time: a paused replica must not keep the rows it
   * has locked from the others.
   */
  readonly idleInTransactionMs: number
}

const requestLimits: SessionLimits = {
  applicationName: "aitp-control-plane",
  statementTimeoutMs: 15_000,
  lockTimeoutMs: 5000,
  idleInTransactionMs: 2000
}

const backgroundLimits: SessionLimits = {
  ...requestLimits,
  applicationName: "aitp-control-plane background",
  statementTimeoutMs: 60_000
}

/** The wait for another migrator has no limit; each migration sets its own lock timeout. */
const migrationLimits: SessionLimits = {
  applicationName: "aitp-control-plane migrations",
  statementTimeoutMs: 0,
  lockTimeoutMs: 0,
  idleInTransactionMs: 60_000
}

export const limits = { request: requestLimits, background: backgroundLimits, migration: migrationLimits }

/** Longest wait in ms for a connection to be opened. */
const CONNECT_TIMEOUT_MS = 5000

/**
 * Settings of one connection. They travel in the startup packet, so no round trip is spent and no session can be
 * without them. The server probes a silent client after 5 s, every 5 s, and gives it up after 3 probes.
 */
export const connectionConfig = (
  address: Address,
  session: SessionLimits,
  searchPath?: string
): PgConnection.Config => ({
  ...address,
  applicationName: session.applicationName,
  connectTimeout: CONNECT_TIMEOUT_MS,
  keepAlive: "5 seconds",
  startupParameters: {
    statement_timeout: String(session.statementTimeoutMs),
    lock_timeout: String(session.lockTimeoutMs),
    idle_in_transaction_session_timeout: String(session.idleInTransactionMs),
    tcp_keepalives_idle: "5",
    tcp_keepalives_interval: "5",
    tcp_keepalives_count: "3",
    timezone: "UTC",
    // Short statements by the thousand: compiling one costs more than it ever saves.
    jit: "off",
    ...(searchPath === undefined ? {} : { search_path: searchPath })
  }
})
