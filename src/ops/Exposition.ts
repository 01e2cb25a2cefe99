import { Metric } from "effect"

/**
 * Prometheus text format 0.0.4. Own code instead of `PrometheusMetrics`, because the consoles that read this page know
 * plain decimals only, stop a label at `}`, and must never see NaN.
 */

/** One line: the labels in order, and the value. */
export interface Sample {
  /** Appended to the family's name: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number | bigint
}

/** All lines of one name. */
export interface Family {
  /** Full name, prefix included. */
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge" | "histogram" | "summary"
  readonly samples: ReadonlyArray<Sample>
}

export const PREFIX = "aitp_control_plane_"

/** A number without exponent; undefined for what is no number. */
const decimal = (value: number | bigint): string | undefined => {
  if (typeof value === "bigint") return value.toString()
  if (!Number.isFinite(value)) return undefined
  const text = String(value)
  if (!text.includes("e")) return text
  return Math.abs(value) >= 1 ? BigInt(Math.round(value)).toString() : value.toFixed(12).replace(/\.?0+$/, "")
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "}": ")" }

/** Label values may come from callers (event types): no line break and no `}` survives. */
const labelValue = (value: string): string =>
  value
    .replace(/[\r\n\u2028\u2029]+/g, " ")
    .replace(/[\\"}]/g, (character) => ESCAPES[character] ?? character)

const labelsOf = (labels: Readonly<Record<string, string>> | undefined): string => {
  const pairs = Object.entries(labels ?? {}).map(([name, value]) => `${name}="${labelValue(value)}"`)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}

const render = ({ help, name, samples, type }: Family): ReadonlyArray<string> => {
  // Label values that differ only in what was replaced are one series: a scrape with a series twice is refused whole.
  const series = new Map<string, number | bigint>()
  for (const { labels, suffix = "", value } of samples) {
    if (decimal(value) === undefined) continue // in a sum it would take the others with it
    const key = `${name}${suffix}${labelsOf(labels)}`
    const known = series.get(key)
    series.set(key, known === undefined ? value : Number(known) + Number(value))
  }
  const lines = [...series].flatMap(([key, value]) => {
    const number = decimal(value)
    return number === undefined ? [] : [`${key} ${number}`]
  })
  return [`# HELP ${name} ${help.replace(/\s+/g, " ")}`, `# TYPE ${name} ${type}`, ...lines]
}

/** The page; `remarks` become comment lines. */
export const format = (families: ReadonlyArray<Family>, remarks: ReadonlyArray<string>): string =>
  [...families.flatMap(render), ...remarks.map((remark) => `# ${remark}`), ""].join("\n")

const types = {
  Counter: "counter",
  Gauge: "gauge",
  Histogram: "histogram",
  Summary: "summary",
  Frequency: "counter"
} as const

const samplesOf = (metric: Metric.Metric.Snapshot): ReadonlyArray<Sample> => {
  const labels = metric.attributes ?? {}
  switch (metric.type) {
    case "Counter":
      return [{ labels, value: metric.state.count }]
    case "Gauge":
      return [{ labels, value: metric.state.value }]
    case "Histogram":
      return [
        ...metric.state.buckets
          .filter(([bound]) => Number.isFinite(bound))
          .map(([bound, value]) => ({ suffix: "_bucket", labels: { ...labels, le: String(bound) }, value })),
        { suffix: "_bucket", labels: { ...labels, le: "+Inf" }, value: metric.state.count },
        { suffix: "_sum", labels, value: metric.state.sum },
        { suffix: "_count", labels, value: metric.state.count }
      ]
    case "Summary":
      return [
        ...metric.state.quantiles.map(([quantile, value]) => ({
          labels: { ...labels, quantile: String(quantile) },
          value: value ?? Number.NaN
        })),
        { suffix: "_sum", labels, value: metric.state.sum },
        { suffix: "_count", labels, value: metric.state.count }
      ]
    case "Frequency":
      return [...metric.state.occurrences].map(([key, value]) => ({ labels: { ...labels, key }, value }))
  }
}

/** What the metrics of this process hold now. */
export const familiesOf = (snapshot: ReadonlyArray<Metric.Metric.Snapshot>): ReadonlyArray<Family> => {
  const byName = Map.groupBy(snapshot, (metric) => metric.id)
  return [...byName].flatMap(([id, metrics]) => {
    const [first] = metrics
    return first === undefined
      ? []
      : [
          {
            name: PREFIX + id,
            help: first.description ?? id,
            type: types[first.type],
            samples: metrics.flatMap(samplesOf)
          }
        ]
  })
}
