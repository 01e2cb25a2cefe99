import { Duration, Effect, Layer, Option, Schedule } from "effect"
import { HttpServer } from "effect/http"
import { AppConfig, configWarnings, type Settings } from "../config.ts"
import { Db } from "../db/Db.ts"
import { DbStatus } from "../db/DbStatus.ts"
import { LogLineage } from "../events/LogLineage.ts"
import { Identity } from "../identity/Identity.ts"
import { OwnManifest } from "../identity/OwnManifest.ts"
import { ListPublisher } from "../revocation/ListPublisher.ts"
import { Health } from "./Health.ts"
import { Readiness } from "./Readiness.ts"

/** How often the probes are told of what changes without them. */
const WATCH = Schedule.spaced(Duration.millis(250))

/** Waits for the database, however long it takes; the probes tell meanwhile what is missing. */
export const layerDatabaseReady = Layer.effectDiscard(
  Effect.gen(function* () {
    const { ping } = yield* Db
    const { ready, state } = yield* DbStatus
    const health = yield* Health
    const readiness = yield* Readiness
    health.attachDatabase(ping)
    const watch = Effect.map(state, (now) => {
      readiness.clear("database_unavailable")
      readiness.clear("migrations_pending")
      if (now === "database_unavailable" || now === "migrations_pending") {
        readiness.clear("starting")
        readiness.raise(now)
      } else if (now === "starting") readiness.raise("starting")
    })
    yield* Effect.raceFirst(ready, Effect.andThen(Effect.repeat(watch, WATCH), Effect.never))
    readiness.clear("database_unavailable")
    readiness.clear("migrations_pending")
    readiness.raise("starting")
  })
)

const hint = ({ keys }: Settings) =>
  keys.apiKeys.length > 0 ? "CP_API_KEY=<one of API_KEYS> npm run demo" : "npm run demo"

/** Positions given twice could never be told apart again, so this waits for a person however long it takes. */
const waitForAdoption = Effect.gen(function* () {
  const lineage = yield* LogLineage
  if (yield* lineage.claim) return
  yield* Effect.logError(
    "the ledger was written on another database cluster or timeline (restored or promoted?); not ready until " +
      "`node scripts/adopt-log.ts` has given it a new epoch"
  )
  yield* Effect.repeat(lineage.claim, { until: (own) => own, schedule: Schedule.spaced(Duration.seconds(2)) })
  yield* Effect.logInfo("the ledger has been adopted")
})

/** The last step of the start: everything answers from here on. */
export const layerAnnounce = Layer.effectDiscard(
  Effect.gen(function* () {
    const settings = yield* AppConfig
    const { aid } = yield* Identity
    const manifests = yield* OwnManifest
    const revocationList = yield* ListPublisher
    const health = yield* Health
    const readiness = yield* Readiness

    yield* waitForAdoption
    yield* manifests.ensure
    yield* revocationList.ensure
    health.setAid(aid)
    const watchManifest = Effect.map(manifests.current, (current) =>
      Option.isSome(current) ? readiness.clear("manifest_expired") : readiness.raise("manifest_expired")
    )
    yield* watchManifest
    yield* Effect.forkScoped(Effect.repeat(watchManifest, Schedule.spaced(Duration.seconds(30))))

    for (const [name, reason] of configWarnings(settings)) yield* Effect.logWarning(`${name} ${reason}`)
    const { address } = yield* HttpServer.HttpServer
    const here = "port" in address ? `http://localhost:${address.port}` : settings.server.baseUrl
    yield* Effect.logInfo(`ready at ${here}, public origin ${settings.server.baseUrl}`)
    yield* Effect.logInfo(`AID ${aid}`)
    yield* Effect.logInfo(`API reference at ${here}/docs; to see it at work: ${hint(settings)}`)
    readiness.clear("starting")
  })
)
