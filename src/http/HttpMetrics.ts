import { Context, Metric } from "effect"

const requests = Metric.counter("http_requests_total", {
  description: "Requests answered, by method, route template and status.",
  incremental: true
})

const seconds = Metric.histogram("http_request_duration_seconds", {
  description:
    "Time from the request's head to its answer, by route template; streams count until they start.",
  boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
})

/** Series of one route: the counters by status and method, the one histogram. */
interface Series {
  readonly counters: Map<string, Metric.Counter<number>>
  readonly histogram: Metric.Histogram<number>
}

/** Counts answered requests; each series is resolved once, since resolving costs more than counting. */
export const make = (context: Context.Context<never>) => {
  const routes = new Map<string, Series>()
  return (method: string, route: string, status: number, ms: number): void => {
    let series = routes.get(route)
    if (series === undefined) {
      series = { counters: new Map(), histogram: Metric.withAttributes(seconds, { route }) }
      routes.set(route, series)
    }
    const key = method + status
    let counter = series.counters.get(key)
    if (counter === undefined) {
      counter = Metric.withAttributes(requests, { method, route, status: String(status) })
      series.counters.set(key, counter)
    }
    counter.updateUnsafe(1, context)
    series.histogram.updateUnsafe(ms / 1000, context)
  }
}
