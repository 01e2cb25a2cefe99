import * as fc from "fast-check"

/** An entry as it is signed. */
export interface Entry {
  readonly jti: string
  readonly revoked_at: number
  readonly reason?: string
}

/** A row of the kept changes. */
export interface Kept {
  readonly version: number
  readonly jti: string
  readonly op: "+" | "-"
  readonly revokedAt: number
  readonly reason: string | null
}

/** What was published: the entries of version n at index n, version 0 being the empty list, and what changed. */
export interface History {
  readonly versions: ReadonlyArray<ReadonlyArray<Entry>>
  readonly changes: ReadonlyArray<Kept>
}

/** UUID number `n`; their order is not that of the numbers. */
export const jtiOf = (n: number): string =>
  `${((n * 0x9e3779b1) >>> 0).toString(16).padStart(8, "0")}-0000-4000-8000-${n.toString(16).padStart(12, "0")}`

export const inOrder = (entries: Iterable<Entry>): ReadonlyArray<Entry> =>
  [...entries].toSorted((a, b) => a.revoked_at - b.revoked_at || (a.jti < b.jti ? -1 : 1))

interface Step {
  readonly id: number
  readonly revokedAt: number
  readonly reason: string | undefined
}

const step: fc.Arbitrary<Step> = fc.record({
  // few ids, so that entries come, go and come back; few times, so that the id decides the order
  id: fc.nat({ max: 12 }),
  revokedAt: fc.integer({ min: 1_699_000_000, max: 1_699_000_003 }),
  reason: fc.option(fc.constantFrom('a "quoted" reason', "}],", '{"jti":"', "ü\u2028𝄞\\"), { nil: undefined })
})

const historyOf = (published: ReadonlyArray<ReadonlyArray<Step>>): History => {
  const listed = new Map<string, Entry>()
  const versions: Array<ReadonlyArray<Entry>> = [[]]
  const changes: Array<Kept> = []
  for (const [index, steps] of published.entries()) {
    const version = index + 1
    for (const { id, reason, revokedAt } of steps) {
      const jti = jtiOf(id)
      if (changes.some((change) => change.version === version && change.jti === jti)) continue
      const leaving = listed.get(jti)
      if (leaving === undefined) {
        listed.set(jti, { jti, revoked_at: revokedAt, ...(reason === undefined ? {} : { reason }) })
        changes.push({ version, jti, op: "+", revokedAt, reason: reason ?? null })
      } else {
        listed.delete(jti)
        changes.push({
          version,
          jti,
          op: "-",
          revokedAt: leaving.revoked_at,
          reason: leaving.reason ?? null
        })
      }
    }
    versions.push(inOrder(listed.values()))
  }
  return { versions, changes }
}

/** Histories in which versions often change nothing, and entries leave and come back. */
const history: fc.Arbitrary<History> = fc
  .array(fc.array(step, { maxLength: 6 }), { minLength: 1, maxLength: 14 })
  .map(historyOf)

/** A history and the versions at which a client asked: ascending, with repeats, ending at the newest. */
export interface Followed {
  readonly history: History
  readonly asked: ReadonlyArray<number>
}

export const followed: fc.Arbitrary<Followed> = history.chain((history) => {
  const newest = history.versions.length - 1
  return fc
    .array(fc.nat({ max: newest }), { minLength: 1, maxLength: 6 })
    .map((versions) => ({ history, asked: [...versions.toSorted((a, b) => a - b), newest] }))
})
