import type { Contributions } from "../../../src/events/contributions.ts"

/**
 * The projections as the contract states them, computed from the whole set of events at once and without SQL. Nothing
 * here knows in which order events arrived; what the database holds after any order must equal it.
 */

/** A stored event, as far as projections depend on it. */
export interface StoredReport {
  readonly id: string
  /** ms since 1970. */
  readonly ts: number
  readonly contributions: Contributions
}

export interface SessionState {
  readonly sessionId: string
  readonly status: string
  readonly aidA: string | null
  readonly aidB: string | null
  readonly grants: ReadonlyArray<string>
  readonly runId: string | null
  readonly namespace: string | null
  readonly boundary: string | null
  readonly error: string | null
  readonly startedAt: string | null
  readonly completedAt: string | null
}

export interface ArtifactState {
  /** Empty for delegations. */
  readonly issuerKey: string
  readonly jti: string
  /** Claims shown, times as ISO text; absent: nobody said. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Of the report shown. */
  readonly reportedTs: string
  readonly signatureVerified: boolean | null
  readonly conflict: boolean
}

export interface DelegationState extends ArtifactState {
  readonly synthetic: boolean
  readonly revokedAt: string | null
  readonly revokedReason: string | null
}

export interface LostClaim {
  readonly kind: string
  readonly issuerKey: string
  readonly jti: string
  readonly claim: string
  readonly value: unknown
  readonly eventId: string
}

export interface FactState {
  readonly jti: string
  readonly revokedAt: string
  readonly reason: string | null
  readonly eventId: string
}

/** Everything that is projected, each list in a fixed order. */
export interface ProjectedState {
  readonly sessions: ReadonlyArray<SessionState>
  readonly tcts: ReadonlyArray<
    ArtifactState & { readonly revokedAt: string | null; readonly revokedReason: string | null }
  >
  readonly delegations: ReadonlyArray<DelegationState>
  readonly lost: ReadonlyArray<LostClaim>
  readonly facts: ReadonlyArray<FactState>
}

const MAX_VALUES = 9
const MAX_GRANTS = 1000

const iso = (ms: number) => new Date(ms).toISOString()

const bytewise = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Compares by the first key that differs. */
const by =
  <A>(...keys: ReadonlyArray<(value: A) => number | string>) =>
  (a: A, b: A): number => {
    for (const key of keys) {
      const [left, right] = [key(a), key(b)]
      const order = typeof left === "number" ? left - Number(right) : bytewise(left, String(right))
      if (order !== 0) return order
    }
    return 0
  }

/** In a text order, by the JSON of each. */
export const inOrder = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values.toSorted((a, b) => bytewise(JSON.stringify(a), JSON.stringify(b)))

const groupBy = <A>(values: ReadonlyArray<A>, key: (value: A) => string): ReadonlyArray<ReadonlyArray<A>> => [
  ...Map.groupBy(values, key).values()
]

const sessionState = (
  reports: ReadonlyArray<StoredReport & { readonly says: NonNullable<Contributions["session"]> }>
): SessionState => {
  const early = reports.toSorted(
    by(
      ({ ts }) => ts,
      ({ id }) => id
    )
  )
  const [deciding] = reports
    .filter(({ says }) => says.kind !== "started")
    .toSorted(
      by(
        ({ ts }) => -ts,
        ({ says }) => says.kind,
        ({ id }) => id
      )
    )
  const party = (side: "aidA" | "aidB") =>
    early.filter(({ says }) => says[side] !== null).toSorted(by(({ says }) => says[side]?.basis ?? 9))[0]
      ?.says[side]?.aid
  const first = (name: "runId" | "namespace" | "boundary") =>
    early.find(({ says }) => says[name] !== null)?.says[name] ?? null
  const started = early.find(({ says }) => says.kind === "started")
  const granted = early.filter(({ says }) => says.kind === "complete").flatMap(({ says }) => says.grants)
  return {
    sessionId: early[0]?.says.sessionId ?? "",
    status: deciding?.says.kind ?? "started",
    aidA: party("aidA") ?? null,
    aidB: party("aidB") ?? null,
    grants: [...new Set(granted)].slice(0, MAX_GRANTS),
    runId: first("runId"),
    namespace: first("namespace"),
    boundary: first("boundary"),
    error: deciding?.says.error ?? null,
    startedAt: started === undefined ? null : iso(started.ts),
    completedAt: deciding?.says.kind === "complete" ? iso(deciding.ts) : null
  }
}

interface ArtifactReport extends StoredReport {
  readonly issuerKey: string
  readonly jti: string
  readonly index: number
  readonly signatureVerified: boolean | null
  readonly claims: Readonly<Record<string, unknown>>
}

const parties: ReadonlySet<string> = new Set(["issuer", "subject", "audience", "delegator", "delegatee"])
const undisputed: ReadonlySet<string> = new Set(["issuer", "token"])

/** Both Ed25519 spellings of a party are one. */
const comparable = (claim: string, value: unknown): string => {
  const text = JSON.stringify(value)
  return parties.has(claim) ? text.replace(/^"aid:pubkey:ed25519:/, '"aid:pubkey:') : text
}

const rankOf = (report: ArtifactReport) => (report.signatureVerified === true ? 0 : 1)

const mergeArtifact = (kind: string, reports: ReadonlyArray<ArtifactReport>) => {
  const ordered = reports.toSorted(
    by(
      rankOf,
      ({ ts }) => ts,
      ({ id }) => id,
      ({ index }) => index
    )
  )
  const [best] = ordered
  if (best === undefined) throw new Error("no reports")
  const shown: Record<string, unknown> = {}
  const lost: Array<LostClaim> = []
  let conflict = false
  for (const claim of new Set(ordered.flatMap(({ claims }) => Object.keys(claims)))) {
    const firsts = new Map<string, ArtifactReport>()
    for (const report of ordered) {
      const value = report.claims[claim]
      if (value === null || value === undefined) continue
      const key = comparable(claim, value)
      if (!firsts.has(key)) firsts.set(key, report)
    }
    const [first, ...others] = [...firsts.values()].slice(0, MAX_VALUES)
    if (first === undefined) continue
    if (firsts.size > 1 && !undisputed.has(claim)) conflict = true
    // A verified report is not completed by unverified ones, except for the session.
    const wins = claim === "sessionId" || rankOf(first) === rankOf(best)
    if (wins) shown[claim] = first.claims[claim]
    if (undisputed.has(claim)) continue
    for (const { claims, id } of wins ? others : [first, ...others]) {
      lost.push({ kind, issuerKey: best.issuerKey, jti: best.jti, claim, value: claims[claim], eventId: id })
    }
  }
  const checked = reports.some(({ signatureVerified }) => signatureVerified !== null)
  const state: ArtifactState = {
    issuerKey: best.issuerKey,
    jti: best.jti,
    claims: shown,
    reportedTs: iso(best.ts),
    signatureVerified: rankOf(best) === 0 ? true : checked ? false : null,
    conflict
  }
  return { state, lost }
}

const isoOrNull = (ms: number | null) => (ms === null ? null : iso(ms))

/** What the projections must hold once these events are stored, each once. */
export const expectedState = (events: ReadonlyArray<StoredReport>): ProjectedState => {
  const sessions = groupBy(
    events.flatMap((event) => {
      const says = event.contributions.session
      return says === undefined ? [] : [{ ...event, says }]
    }),
    ({ says }) => says.sessionId
  ).map(sessionState)

  const facts = groupBy(
    events.flatMap((event) => {
      const says = event.contributions.revocation
      return says === undefined ? [] : [{ ...event, says }]
    }),
    ({ says }) => says.jti
  ).map((reports): FactState => {
    const [first] = reports.toSorted(
      by(
        ({ ts }) => ts,
        ({ id }) => id
      )
    )
    if (first === undefined) throw new Error("no reports")
    return { jti: first.says.jti, revokedAt: iso(first.ts), reason: first.says.reason, eventId: first.id }
  })
  const factOf = new Map(facts.map((fact) => [fact.jti, fact]))

  const tcts = groupBy(
    events.flatMap((event) =>
      event.contributions.tcts.map((tct, index): ArtifactReport => ({
        ...event,
        issuerKey: tct.issuerKey,
        jti: tct.jti,
        index,
        signatureVerified: tct.signatureVerified,
        claims: {
          issuer: tct.issuer,
          subject: tct.subject,
          audience: tct.audience,
          grants: tct.grants,
          bindingCnf: tct.bindingCnf,
          issuedAt: isoOrNull(tct.issuedAt),
          expiresAt: isoOrNull(tct.expiresAt),
          sessionId: tct.sessionId,
          token: tct.tokenSha256
        }
      }))
    ),
    ({ issuerKey, jti }) => `${issuerKey} ${jti}`
  ).map((reports) => mergeArtifact("tct", reports))

  const delegationReports = groupBy(
    events.flatMap((event) =>
      event.contributions.delegations.map((delegation, index) => ({
        ...event,
        issuerKey: "",
        jti: delegation.jti,
        index,
        signatureVerified: delegation.signatureVerified,
        synthetic: delegation.synthetic,
        claims: {
          parent: delegation.parentJti,
          delegator: delegation.delegator,
          delegatee: delegation.delegatee,
          scope: delegation.scope,
          issuedAt: isoOrNull(delegation.issuedAt),
          expiresAt: isoOrNull(delegation.expiresAt),
          token: delegation.tokenSha256
        }
      }))
    ),
    ({ jti }) => jti
  )
  const delegations = delegationReports.map((reports) => ({
    ...mergeArtifact("delegation", reports),
    synthetic: reports.every(({ synthetic }) => synthetic)
  }))
  const parentOf = new Map(delegations.map(({ state }) => [state.jti, String(state.claims["parent"])]))

  /** Earliest fact about anything reached by going from parent to parent. */
  const inherited = (jti: string): string | null => {
    const met = new Set<string>()
    let earliest: string | null = null
    for (let at = parentOf.get(jti); at !== undefined && !met.has(at); at = parentOf.get(at)) {
      met.add(at)
      const revokedAt = factOf.get(at)?.revokedAt
      if (revokedAt !== undefined && (earliest === null || revokedAt < earliest)) earliest = revokedAt
    }
    return earliest
  }

  return {
    sessions: inOrder(sessions),
    tcts: inOrder(
      tcts.map(({ state }) => ({
        ...state,
        revokedAt: factOf.get(state.jti)?.revokedAt ?? null,
        revokedReason: factOf.get(state.jti)?.reason ?? null
      }))
    ),
    delegations: inOrder(
      delegations.map(({ state, synthetic }) => {
        const own = factOf.get(state.jti)?.revokedAt ?? null
        const above = inherited(state.jti)
        return {
          ...state,
          synthetic,
          revokedAt: own ?? above,
          revokedReason: own !== null ? "explicit" : above !== null ? "parent_revoked" : null
        }
      })
    ),
    lost: inOrder([...tcts, ...delegations].flatMap(({ lost }) => lost)),
    facts: inOrder(facts)
  }
}
