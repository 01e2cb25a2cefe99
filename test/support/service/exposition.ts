/** A second, independent reading of the Prometheus text format 0.0.4, strict about what consoles rely on (contract §9). */

export interface MetricSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Exposition {
  readonly types: ReadonlyMap<string, string>
  readonly helps: ReadonlyMap<string, string>
  readonly samples: ReadonlyArray<MetricSample>
  readonly remarks: ReadonlyArray<string>
}

const sampleLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?)$/
const labelPair = /^([a-zA-Z_]\w*)="((?:[^"\\\n}]|\\["\\n])*)"(?:,|$)/

const labelsOf = (text: string, line: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  for (let rest = text; rest !== "";) {
    const [pair, name, value] = labelPair.exec(rest) ?? []
    if (pair === undefined || name === undefined || value === undefined) throw new Error(`labels of: ${line}`)
    if (name in labels) throw new Error(`label given twice: ${line}`)
    labels[name] = value
    rest = rest.slice(pair.length)
  }
  return labels
}

/** Family a sample belongs to: histograms and summaries suffix their name. */
const familyOf = (name: string, types: ReadonlyMap<string, string>): string =>
  types.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, "")

/** Reads a page; throws at the first line that is not in the format. */
export const parseExposition = (page: string): Exposition => {
  const types = new Map<string, string>()
  const helps = new Map<string, string>()
  const samples: Array<MetricSample> = []
  const remarks: Array<string> = []
  if (!page.endsWith("\n")) throw new Error("the last line has no end")
  for (const line of page.slice(0, -1).split("\n")) {
    const [, keyword, name, text] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword !== undefined && name !== undefined && text !== undefined) {
      const known = keyword === "HELP" ? helps : types
      if (known.has(name)) throw new Error(`${keyword} twice: ${name}`)
      known.set(name, text)
      continue
    }
    if (line.startsWith("#")) {
      remarks.push(line)
      continue
    }
    const [, sample, labels = "", value] = sampleLine.exec(line) ?? []
    if (sample === undefined) throw new Error(`not a sample: ${line}`)
    const family = familyOf(sample, types)
    if (!types.has(family) || !helps.has(family)) throw new Error(`no TYPE or HELP before: ${line}`)
    samples.push({ name: sample, labels: labelsOf(labels, line), value: Number(value) })
  }
  const seen = new Set<string>()
  for (const { labels, name } of samples) {
    const series = JSON.stringify([name, Object.entries(labels).toSorted()])
    if (seen.has(series)) throw new Error(`series given twice: ${series}`)
    seen.add(series)
  }
  return { types, helps, samples, remarks }
}
