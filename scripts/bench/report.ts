import type { Machine } from "./machine.ts"
import type { Figure, Result, Target, Unit } from "./model.ts"
import type { Summary } from "./statistics.ts"
import { isMet, ratioOf } from "./verdict.ts"

/** A run: where and when, with what, and what came of it. */
export interface Run {
  readonly machine: Machine
  /** ISO instant of the start. */
  readonly startedAt: string
  readonly seconds: number
  readonly options: {
    /** Length of one measurement, s. */
    readonly seconds: number
    readonly full: boolean
    readonly only: ReadonlyArray<string>
  }
  readonly results: ReadonlyArray<Result>
}

const digits = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US")
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}

const amount = (value: number, unit: Unit): string => `${digits(value)}${unit === "/s" ? "" : " "}${unit}`

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`

const targetText = (target: Target, unit: Unit): string => {
  switch (target.kind) {
    case "share":
      return `≥ ${percent(target.atLeast)}`
    case "at least":
      return `≥ ${amount(target.value, unit)}`
    case "at most":
      return `≤ ${amount(target.value, unit)}`
  }
}

/** Percentiles in one line. */
export const percentiles = ({ max, p50, p99, p999 }: Summary): string =>
  `p50 ${digits(p50)} ms, p99 ${digits(p99)} ms, p99.9 ${digits(p999)} ms, longest ${digits(max)} ms`

const verdict = (figure: Figure): string => {
  const met = isMet(figure)
  return met === undefined ? "" : met ? "met" : "**missed**"
}

const shareText = (figure: Figure): string => {
  const ratio = ratioOf(figure)
  return ratio === undefined ? "" : percent(ratio)
}

const cells = (result: Result, figure: Figure): ReadonlyArray<string> => [
  result.id,
  figure.detail === undefined ? figure.what : `${figure.what} (${figure.detail})`,
  amount(figure.value, figure.unit),
  figure.limit === undefined ? "" : `${amount(figure.limit.value, figure.unit)}: ${figure.limit.what}`,
  shareText(figure),
  figure.target === undefined ? "" : targetText(figure.target, figure.unit),
  verdict(figure)
]

const line = (columns: ReadonlyArray<string>): string => `| ${columns.join(" | ")} |`

const HEAD = ["", "What", "Measured", "Limit in the same run", "Ratio", "Target", ""]

const described = ({ machine, options, seconds, startedAt }: Run): string => {
  const extent =
    options.only.length > 0 ? `only ${options.only.join(", ")}` : options.full ? "full" : "default"
  return [
    `Run of ${startedAt.slice(0, 16).replace("T", " ")} UTC, ${extent}, ${options.seconds} s a measurement, ${Math.round(seconds)} s in all.`,
    `${machine.cpus} × ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system}; Node ${machine.node}, ${machine.postgres} (${machine.database}); commit ${machine.commit}.`,
    `Settings besides the defaults: ${machine.settings}.`
  ].join("\n")
}

/** The run as Markdown: where it ran, one row a figure, then what failed. */
export const markdown = (run: Run): string => {
  const rows = run.results.flatMap((result) => result.figures.map((figure) => line(cells(result, figure))))
  const failures = run.results.flatMap(({ failure, id }) =>
    failure === undefined ? [] : [`- ${id} failed: ${failure.replaceAll("\n", " ")}`]
  )
  const table = [line(HEAD), line(HEAD.map(() => "---")), ...rows].join("\n")
  return [described(run), table, ...(failures.length === 0 ? [] : [failures.join("\n")])].join("\n\n")
}

/** The run as JSON text; every figure with its verdict. */
export const json = (run: Run): string => {
  const results = run.results.map((result) => ({
    ...result,
    figures: result.figures.map((figure) => {
      const judged = { ratio: ratioOf(figure) ?? null, met: isMet(figure) ?? null }
      return Object.assign({}, figure, judged)
    })
  }))
  return `${JSON.stringify({ ...run, results }, null, 2)}\n`
}

const BEGIN = "<!-- bench:begin -->"
const END = "<!-- bench:end -->"

/** A document with what is between its two marks replaced; undefined when it does not have both, in order. */
export const withReport = (document: string, report: string): string | undefined => {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) return undefined
  return `${document.slice(0, begin + BEGIN.length)}\n\n${report}\n\n${document.slice(end)}`
}
