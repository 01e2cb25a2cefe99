import { randomUUID } from "node:crypto"
import { PgConnection } from "@effect/sql-pg"
import { Deferred, Effect, Exit, Layer, Queue, Schema, Scope } from "effect"
import { AppConfig } from "../config.ts"
import { BackgroundDb } from "../db/Db.ts"
import { DbTarget } from "../db/DbTarget.ts"
import { connectionConfig } from "../db/session.ts"
import { LedgerHints } from "../events/LedgerHints.ts"
import { AuditBus } from "./AuditBus.ts"
import { StreamMetrics } from "./StreamMetrics.ts"

/** Nothing came back in time: the connection is dead, half-open, or shared by a pooler that cannot listen. */
class Deaf extends Schema.TaggedError<Deaf>()("Deaf", { message: Schema.String }) {}

interface ListenerTimes {
  /** Pause between two heartbeats, ms. */
  readonly heartbeatMs: number
  /** Longest wait for a heartbeat to come back, ms. */
  readonly answerMs: number
}

/** Noticed at the latest after 15 s. */
const TIMES: ListenerTimes = { heartbeatMs: 10_000, answerMs: 5000 }
/** Smallest distance in ms of two notifications: each takes a lock that the whole database shares. */
const SPACING_MS = 10
/** Pause before the next try to connect, ms. */
const RECONNECT_MS = 1000
const WATCH_MS = 1000

const session = { applicationName: "aitp-control-plane listener", idleInTransactionMs: 2000 }

/**
 * Carries hints between replicas, on a connection of its own: commits here are notified, notifications of others wake
 * the bus. Hints may be lost; while this connection is down the bus looks at the ledger once a second as always. A
 * heartbeat is a notification to itself, since only one that comes back shows that listening works.
 */
export const layer = (times: ListenerTimes = TIMES) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { wake } = yield* AuditBus
      const { sql } = yield* BackgroundDb
      const hints = yield* LedgerHints
      const metrics = yield* StreamMetrics
      const target = yield* DbTarget
      const { listenUrl } = (yield* AppConfig).database
      const config = connectionConfig(
        listenUrl === undefined ? target.address : { url: listenUrl },
        { ...session, statementTimeoutMs: times.answerMs, lockTimeoutMs: times.answerMs },
        target.searchPath
      )
      /** What this process sends itself; distinct from all others, as backend pids behind a pooler are not. */
      const self = randomUUID()
      const committed = yield* Queue.sliding<void>(1)
      let heardAt = Date.now()
      let listening: boolean | undefined

      // Notifications are shared by all schemas of a database.
      const channelOf = Effect.map(
        sql<{ readonly channel: string }>`
          select 'aitp_cp_ledger_' || left(md5(current_schema()), 16) as channel`,
        ([row]) => row?.channel ?? ""
      )

      const listen = Effect.fnUntraced(function* (connectionScope: Scope.Closeable) {
        const channel = yield* channelOf
        const connection = yield* Scope.provide(PgConnection.make(config), connectionScope)
        const pinned = yield* connection.pin
        const notifications = yield* pinned.listen(channel)
        const send = (payload: string) => pinned.query("select pg_notify($1, $2)", [channel, payload])
        let heard = yield* Deferred.make<void>()

        const receive = Effect.gen(function* () {
          while (true) {
            const { payload } = yield* Queue.take(notifications)
            if (payload === `${self} heartbeat`) yield* Deferred.succeed(heard, undefined)
            else if (!payload.startsWith(self) && !payload.endsWith("heartbeat")) wake()
          }
        })
        const announce = Effect.gen(function* () {
          while (true) {
            yield* Queue.take(committed)
            yield* send(self)
            yield* Effect.sleep(SPACING_MS)
          }
        })
        const beat = Effect.gen(function* () {
          while (true) {
            heard = yield* Deferred.make<void>()
            // Apart: a statement that is interrupted waits for the server to agree, which a dead one never does.
            yield* Effect.forkChild(Effect.ignore(send(`${self} heartbeat`)))
            yield* Deferred.await(heard).pipe(
              Effect.timeoutOrElse({
                duration: times.answerMs,
                orElse: () =>
                  // Closed in any case: what still waits for an answer on it would otherwise wait for minutes.
                  Effect.andThen(
                    Effect.forkDetach(Scope.close(connectionScope, Exit.void)),
                    new Deaf({ message: `no heartbeat within ${times.answerMs} ms` })
                  )
              })
            )
            heardAt = Date.now()
            metrics.listening(true)
            if (listening === false) yield* Effect.logInfo("notifications from the database are back")
            listening = true
            yield* Effect.sleep(times.heartbeatMs)
          }
        })
        wake() // what was committed while nobody listened
        return yield* Effect.raceAllFirst([receive, announce, beat])
      })

      const attempt = Effect.gen(function* () {
        const connectionScope = yield* Effect.acquireRelease(Scope.make(), (scope) =>
          Scope.close(scope, Exit.void)
        )
        return yield* Effect.scoped(listen(connectionScope))
      }).pipe(
        Effect.scoped,
        Effect.catchCause((cause) => {
          metrics.listening(false)
          const first = listening !== false
          listening = false
          return first
            ? Effect.logWarning("no notifications from the database; polling once a second", cause)
            : Effect.void
        }),
        Effect.andThen(Effect.sleep(RECONNECT_MS))
      )

      yield* Effect.forkScoped(Effect.forever(attempt))
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.sync(() => metrics.heartbeatAge((Date.now() - heardAt) / 1000)),
            Effect.sleep(WATCH_MS)
          )
        )
      )
      yield* Effect.acquireRelease(
        Effect.sync(() => hints.subscribe(() => void Queue.offerUnsafe(committed, undefined))),
        (unsubscribe) => Effect.sync(unsubscribe)
      )
    })
  )
