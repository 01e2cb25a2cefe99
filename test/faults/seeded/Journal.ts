/** How sure a client is that what it asked for has happened: it was told so, it was told nothing, or it was refused. */
export type Certainty = "acknowledged" | "unknown"

/** An item that was reported, with an id of its own. */
export interface SentItem {
  readonly item: Readonly<Record<string, unknown>> & { readonly id: string }
  certainty: Certainty
}

export interface SentAgent {
  readonly aid: string
  certainty: Certainty
  /** Answers 201 to requests that presented its only token without the same idempotency key. */
  admitted: number
  removal: Certainty | "none"
}

/** A request with a key whose outcome its client never learned. */
export interface OpenKey {
  readonly path: string
  readonly key: string
  readonly body: unknown
  /** Besides the key; without any the API key is sent. */
  readonly headers?: Readonly<Record<string, string>>
}

/** How often a property did not hold, and what shows it. */
export interface Violation {
  count: number
  readonly evidence: Array<string>
}

/** Of one property, so many are kept with what shows them; the others are counted. */
const MAX_EVIDENCE = 3

/** What clients did and saw in one run: what the oracle judges by. */
export class Journal {
  readonly begunAt = performance.now()
  /** By id. */
  readonly items = new Map<string, SentItem>()
  /** Items without an id, by the marker in their payload. */
  readonly marked = new Map<string, Certainty>()
  readonly revocations = new Map<string, { readonly reason: string; certainty: Certainty }>()
  readonly agents = new Map<string, SentAgent>()
  readonly openKeys: Array<OpenKey> = []
  /** Everything that must never be written into a log. */
  readonly secrets = new Set<string>()
  /** By property. */
  readonly violations = new Map<string, Violation>()
  /** Answers by route and status. */
  readonly answers = new Map<string, number>()

  violated(property: string, evidence: string): void {
    const known = this.violations.get(property) ?? { count: 0, evidence: [] }
    known.count += 1
    if (known.evidence.length < MAX_EVIDENCE) known.evidence.push(`at ${this.at()}: ${evidence}`)
    this.violations.set(property, known)
  }

  /** Seconds since the run began. */
  at(): string {
    return `${((performance.now() - this.begunAt) / 1000).toFixed(2)} s`
  }

  answered(route: string, status: number | string): void {
    const name = `${route} ${status}`
    this.answers.set(name, (this.answers.get(name) ?? 0) + 1)
  }
}
