import { Effect, Layer, Redacted } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { BackgroundDb, Db } from "../../../src/db/Db.ts"
import { DbTarget } from "../../../src/db/DbTarget.ts"
import { AuditEvents, Lost } from "../../../src/events/AuditEvents.ts"
import { EventOwners } from "../../../src/events/EventOwners.ts"
import { GroupCommit } from "../../../src/events/GroupCommit.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { LedgerHints } from "../../../src/events/LedgerHints.ts"
import { LastSeen } from "../../../src/registry/LastSeen.ts"
import { newEvent } from "../events/report.ts"
import { testPlatform } from "../TestPlatform.ts"

/** Writes to the ledger of a running service past it, with transactions of its own. */
export const writerOn = (
  databaseUrl: string
): Layer.Layer<Ingest | AuditEvents | Db | BackgroundDb, unknown> =>
  Ingest.layer.pipe(
    Layer.provide(GroupCommit.layer),
    Layer.provideMerge(
      Layer.mergeAll(AuditEvents.layer, EventOwners.layer, LastSeen.layer, LedgerHints.layer)
    ),
    Layer.provide(testPlatform()),
    Layer.provideMerge(Db.layer),
    Layer.provide(
      Layer.succeed(DbTarget, {
        address: { url: Redacted.make(databaseUrl) },
        requestConnections: 10,
        backgroundConnections: 2
      })
    )
  )

/** Appends events in a transaction that stays open for a while after it was given its positions. */
export const appendSlowly = (count: number, holdMs: number) =>
  Effect.gen(function* () {
    const { withTransaction } = yield* Db
    const events = yield* AuditEvents
    const ingest = yield* Ingest
    yield* ingest.act(
      { principal: system, receivedAt: Date.now() },
      Effect.succeed(Array.from({ length: count }, () => newEvent())),
      (sealed, version) =>
        withTransaction(Effect.tap(events.append(sealed, version), () => Effect.sleep(holdMs))).pipe(
          Effect.orDie,
          Effect.map((answer) => {
            if (answer instanceof Lost) throw new Error("no idempotency keys were given")
            return answer
          })
        )
    )
  })
