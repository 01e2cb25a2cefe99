import { Context, Effect, Layer, Metric } from "effect"
import { AppConfig, configWarnings } from "../config.ts"
import { type Family, familiesOf, format, PREFIX } from "./Exposition.ts"
import { Health } from "./Health.ts"
import { briefly } from "./memo.ts"
import { VERSION } from "./version.ts"

/** Reads series that are not counted in the process; runs on each scrape. */
export type Collector = Effect.Effect<ReadonlyArray<Family>, unknown>

const SCRAPE_TIMEOUT = "2 seconds"
const MEMO_MS = 250
const REMARK = "database unavailable: some or all series derived from it are absent"

const gauge = (
  name: string,
  help: string,
  value: number,
  labels?: Readonly<Record<string, string>>
): Family => ({
  name,
  help,
  type: "gauge",
  samples: [labels === undefined ? { value } : { value, labels }]
})

const processFamilies = (): ReadonlyArray<Family> => {
  const { system, user } = process.cpuUsage()
  return [
    gauge("process_resident_memory_bytes", "Resident memory in bytes.", process.memoryUsage.rss()),
    gauge(
      "process_start_time_seconds",
      "Start of the process in Unix seconds.",
      Math.floor(performance.timeOrigin / 1000)
    ),
    {
      ...gauge("process_cpu_seconds_total", "User and system CPU time in seconds.", (user + system) / 1e6),
      type: "counter"
    }
  ]
}

/**
 * The metrics page. What happens in the process is an effect `Metric`, named without prefix, and appears by itself;
 * what must be read from the database is a collector, cluster-wide and absent during an outage.
 */
export class Metrics extends Context.Service<
  Metrics,
  {
    /** Adds series read from the database at each scrape. */
    readonly register: (collector: Collector) => void
    /** The page in Prometheus text format; never fails. */
    readonly page: Effect.Effect<string>
  }
>()("cp/ops/Metrics") {
  static readonly layer = Layer.effect(
    Metrics,
    Effect.gen(function* () {
      const health = yield* Health
      const warnings = configWarnings(yield* AppConfig)
      const collectors: Array<Collector> = []
      const constant: ReadonlyArray<Family> = [
        gauge(`${PREFIX}build_info`, "Version of this build; always 1.", 1, { version: VERSION }),
        {
          name: `${PREFIX}config_warnings`,
          help: "Settings that deserve an operator's eye; 1 each.",
          type: "gauge",
          samples: warnings.map(([name]) => ({ labels: { name }, value: 1 }))
        }
      ]
      const collect = (collector: Collector) =>
        collector.pipe(
          Effect.timeout(SCRAPE_TIMEOUT),
          Effect.catchCause((cause) => Effect.as(Effect.logWarning("scrape failed", cause), undefined))
        )
      const derived = briefly(
        Effect.suspend(() => Effect.forEach(collectors, collect, { concurrency: 4 })),
        MEMO_MS
      )
      return Metrics.of({
        register: (collector) => void collectors.push(collector),
        page: Effect.gen(function* () {
          const up = yield* health.database
          const found = up ? yield* derived : [undefined]
          const families = [
            ...constant,
            gauge(`${PREFIX}db_up`, "Whether the database answers.", up ? 1 : 0),
            ...found.flatMap((family) => family ?? []),
            ...familiesOf(yield* Metric.snapshot),
            ...processFamilies()
          ]
          return format(families, found.includes(undefined) ? [REMARK] : [])
        })
      })
    })
  )
}
