import { Effect, Layer, Option } from "effect"
import { type Family, PREFIX } from "../ops/Exposition.ts"
import { Metrics } from "../ops/Metrics.ts"
import { RevocationLists } from "./RevocationLists.ts"

const gauge = (name: string, help: string, value: number): Family => ({
  name: `${PREFIX}${name}`,
  help,
  type: "gauge",
  samples: [{ value }]
})

/** Series of the newest list, read from the database at each scrape. */
export const RevocationMetrics = {
  layer: Layer.effectDiscard(
    Effect.gen(function* () {
      const { describeNewest } = yield* RevocationLists
      const metrics = yield* Metrics
      metrics.register(
        Effect.map(
          describeNewest,
          Option.match({
            onNone: () => [],
            onSome: ({ ageSecs, entries, version }) => [
              gauge("revocation_list_entries", "Entries of the newest signed list.", entries),
              gauge(
                "revocation_list_age_seconds",
                "Time since the newest signed list was published.",
                ageSecs
              ),
              gauge("revocation_list_version", "Number of the newest signed list.", version)
            ]
          })
        )
      )
    })
  )
}
