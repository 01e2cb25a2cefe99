import { Clock, Context, Effect, Layer } from "effect"
import { system } from "../access/Principal.ts"
import { onBackground } from "../db/Db.ts"
import { idFromName } from "../events/event-id.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { OWN_SOURCE } from "../events/types.ts"
import { everyInterval } from "../jobs/loop.ts"
import { RevocationLists, type Unannounced } from "./RevocationLists.ts"
import { singleFlight } from "./single-flight.ts"

const TYPE = "revocation.list_published"
/** Versions announced in one call. */
const BATCH = 100
/** How often it is looked for versions whose publisher died before it announced them, ms. */
const LOOK_MS = 5000

/** Made of the version alone, so that however many replicas announce it, the ledger has it once. */
const eventOf = ({ entries, publishedAt, sha256, version }: Unannounced) =>
  ownEvent({
    id: idFromName(`${TYPE}/${version}`, system.actorId, OWN_SOURCE),
    type: TYPE,
    ts: publishedAt * 1000,
    aidA: null,
    namespace: null,
    payload: { version, sha256: Buffer.from(sha256).toString("hex"), entries }
  })

/** Writes versions of the list whose entries changed into the ledger, after they were published. */
export class ListAnnouncer extends Context.Service<
  ListAnnouncer,
  {
    /** Announces in the background what is not announced. */
    readonly start: () => void
    /** Announces what is not announced, oldest version first. */
    readonly runOnce: Effect.Effect<void>
  }
>()("cp/revocation/ListAnnouncer") {
  static readonly layer = Layer.effect(
    ListAnnouncer,
    Effect.gen(function* () {
      const ingest = yield* Ingest
      const lists = yield* RevocationLists

      const runOnce = Effect.gen(function* () {
        for (;;) {
          const due = yield* lists.unannounced(BATCH)
          if (due.length === 0) return
          const receivedAt = yield* Clock.currentTimeMillis
          // without a reservation there is none to lose
          yield* Effect.orDie(ingest.record({ principal: system, receivedAt }, due.map(eventOf)))
          yield* lists.markAnnounced(due.map(({ version }) => version))
          if (due.length < BATCH) return
        }
      }).pipe(onBackground, Effect.withSpan("ListAnnouncer.runOnce"))

      const flight = yield* singleFlight(
        Effect.catchCause(runOnce, (cause) =>
          Effect.logInfo("a published revocation list will be announced later", cause)
        )
      )
      return { start: () => void flight.start(), runOnce }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { runOnce } = yield* ListAnnouncer
      yield* everyInterval("announcement of revocation lists", LOOK_MS, runOnce)
    })
  )
}
