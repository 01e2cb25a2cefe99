import type { DelegationContribution } from "../delegations/contribution.ts"
import { textArray } from "../db/arrays.ts"
import type { Sql } from "../db/sql.ts"
import type { Party, SessionContribution } from "../sessions/contribution.ts"
import type { TctContribution } from "../tcts/contribution.ts"
import type { Contributions } from "./contributions.ts"
import { earliest, latest } from "./precedence.ts"
import type { SealedEvent } from "./seal.ts"

/**
 * What the events of an append say to the projections, as the array parameters of `append_v2`. One array per column, so
 * that the statement's text does not depend on their number.
 */

interface From {
  readonly sealed: SealedEvent
  /** Place in the append, from 1. */
  readonly place: number
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
const json = (value: ReadonlyArray<string> | null) => (value === null ? null : JSON.stringify(value))
const orgs = ({ sealed }: From) => `{${sealed.orgIds.join(",")}}`
const places = (rows: ReadonlyArray<From>) => textArray(rows.map(({ place }) => String(place)))

const partyPrecedence = ({ event }: SealedEvent, party: Party | null) =>
  party === null ? null : earliest(party.basis, event.ts, event.id)

/** Rank of a terminal event among those of one time. */
const terminalRank = { complete: 0, failed: 1 } as const

const decision = ({ event: { id, ts } }: SealedEvent, { kind }: SessionContribution) =>
  kind === "started" ? null : { status: kind, at: iso(ts), precedence: latest(terminalRank[kind], ts, id) }

type SessionRow = From & { readonly says: SessionContribution }

const sessionArray = (sql: Sql, rows: ReadonlyArray<SessionRow>) => {
  const text = (pick: (row: SessionRow) => string | null) => textArray(rows.map(pick))
  return sql`(
    select array_agg(row(
      event::int, session_id, started_at::timestamptz, decided_precedence, decided_status, decided_at, error,
      precedence, aid_a_precedence, aid_a, aid_b_precedence, aid_b, run_id, namespace, boundary, grants::jsonb,
      orgs::uuid[])::session_contribution_v1)
    from unnest(
      ${places(rows)}::text[],
      ${text(({ says }) => says.sessionId)}::text[],
      ${text(({ sealed, says }) => (says.kind === "started" ? iso(sealed.event.ts) : null))}::text[],
      ${text(({ sealed, says }) => decision(sealed, says)?.precedence ?? null)}::text[],
      ${text(({ sealed, says }) => decision(sealed, says)?.status ?? null)}::text[],
      ${text(({ sealed, says }) => decision(sealed, says)?.at ?? null)}::text[],
      ${text(({ says }) => says.error)}::text[],
      ${text(({ sealed: { event } }) => earliest(0, event.ts, event.id))}::text[],
      ${text(({ sealed, says }) => partyPrecedence(sealed, says.aidA))}::text[],
      ${text(({ says }) => says.aidA?.aid ?? null)}::text[],
      ${text(({ sealed, says }) => partyPrecedence(sealed, says.aidB))}::text[],
      ${text(({ says }) => says.aidB?.aid ?? null)}::text[],
      ${text(({ says }) => says.runId)}::text[],
      ${text(({ says }) => says.namespace)}::text[],
      ${text(({ says }) => says.boundary)}::text[],
      ${text(({ says }) => (says.grants.length === 0 ? null : json(says.grants)))}::text[],
      ${text(orgs)}::text[]
    ) as t (
      event, session_id, started_at, decided_precedence, decided_status, decided_at, error, precedence,
      aid_a_precedence, aid_a, aid_b_precedence, aid_b, run_id, namespace, boundary, grants, orgs))`
}

interface ArtifactRow extends From {
  readonly kind: "tct" | "delegation"
  /** Empty for delegations. */
  readonly issuerKey: string
  readonly jti: string
  /** Place among the event's artifacts of its kind. */
  readonly index: number
  readonly signatureVerified: boolean | null
  readonly synthetic: boolean
  /** By name; null is not claimed. */
  readonly claims: Readonly<Record<string, string | null>>
}

const tctRow = (from: From, tct: TctContribution, index: number): ArtifactRow => ({
  ...from,
  kind: "tct",
  issuerKey: tct.issuerKey,
  jti: tct.jti,
  index,
  signatureVerified: tct.signatureVerified,
  synthetic: false,
  claims: {
    issuer: tct.issuer,
    subject: tct.subject,
    audience: tct.audience,
    grants: json(tct.grants),
    bindingCnf: tct.bindingCnf,
    issuedAt: iso(tct.issuedAt),
    expiresAt: iso(tct.expiresAt),
    sessionId: tct.sessionId,
    token: tct.tokenSha256
  }
})

const delegationRow = (from: From, delegation: DelegationContribution, index: number): ArtifactRow => ({
  ...from,
  kind: "delegation",
  issuerKey: "",
  jti: delegation.jti,
  index,
  signatureVerified: delegation.signatureVerified,
  synthetic: delegation.synthetic,
  claims: {
    parent: delegation.parentJti,
    delegator: delegation.delegator,
    delegatee: delegation.delegatee,
    scope: json(delegation.scope),
    issuedAt: iso(delegation.issuedAt),
    expiresAt: iso(delegation.expiresAt),
    token: delegation.tokenSha256
  }
})

const artifactArray = (sql: Sql, rows: ReadonlyArray<ArtifactRow>) => {
  const text = (pick: (row: ArtifactRow) => string | null) => textArray(rows.map(pick))
  return sql`(
    select array_agg(row(
      event::int, kind, issuer_key, jti::uuid, precedence, token_checked::boolean, synthetic::boolean, reporter,
      orgs::uuid[])::artifact_contribution_v1 order by n)
    from unnest(
      ${places(rows)}::text[],
      ${text(({ kind }) => kind)}::text[],
      ${text(({ issuerKey }) => issuerKey)}::text[],
      ${text(({ jti }) => jti)}::text[],
      ${text(({ index, sealed: { event }, signatureVerified }) =>
        earliest(signatureVerified === true ? 0 : 1, event.ts, event.id, index)
      )}::text[],
      ${text(({ signatureVerified }) => String(signatureVerified !== null))}::text[],
      ${text(({ synthetic }) => String(synthetic))}::text[],
      ${text(({ sealed }) => sealed.reportedBy)}::text[],
      ${text(orgs)}::text[]
    ) with ordinality as t (event, kind, issuer_key, jti, precedence, token_checked, synthetic, reporter, orgs, n))`
}

const claimArray = (sql: Sql, artifacts: ReadonlyArray<ArtifactRow>) => {
  const rows = artifacts.flatMap(({ claims }, index) =>
    Object.entries(claims).flatMap(([claim, value]) =>
      value === null ? [] : [{ claim, value, of: index + 1 }]
    )
  )
  return sql`(
    select array_agg(row(artifact::int, claim, value)::artifact_claim_v1)
    from unnest(
      ${textArray(rows.map(({ of }) => String(of)))}::text[],
      ${textArray(rows.map(({ claim }) => claim))}::text[],
      ${textArray(rows.map(({ value }) => value))}::text[]
    ) as t (artifact, claim, value))`
}

type RevocationRow = From & { readonly says: NonNullable<Contributions["revocation"]> }

const revocationArray = (sql: Sql, rows: ReadonlyArray<RevocationRow>) => {
  const text = (pick: (row: RevocationRow) => string | null) => textArray(rows.map(pick))
  return sql`(
    select array_agg(row(
      event::int, jti::uuid, revoked_at::timestamptz, reason, id::uuid, owner::uuid)::revocation_contribution_v1)
    from unnest(
      ${places(rows)}::text[],
      ${text(({ says }) => says.jti)}::text[],
      ${text(({ sealed }) => iso(sealed.event.ts))}::text[],
      ${text(({ says }) => says.reason)}::text[],
      ${text(({ sealed }) => sealed.event.id)}::text[],
      ${text(({ sealed }) => sealed.owner)}::text[]
    ) as t (event, jti, revoked_at, reason, id, owner))`
}

const saysSomething = ({ delegations, revocation, session, tcts }: Contributions): boolean =>
  session !== undefined || revocation !== undefined || tcts.length > 0 || delegations.length > 0

/** Whether any of the events says something to the projections. */
export const hasContributions = (sealed: ReadonlyArray<SealedEvent>): boolean =>
  sealed.some(({ event }) => event.contributions !== undefined && saysSomething(event.contributions))

/** Sessions, artifacts, their claims and revocations: four SQL expressions, null where there are none. */
export const contributionArrays = (sql: Sql, sealed: ReadonlyArray<SealedEvent>) => {
  const sessions: Array<SessionRow> = []
  const artifacts: Array<ArtifactRow> = []
  const revocations: Array<RevocationRow> = []
  for (const [index, each] of sealed.entries()) {
    const says = each.event.contributions
    if (says === undefined) continue
    const from = { sealed: each, place: index + 1 }
    if (says.session !== undefined) sessions.push({ ...from, says: says.session })
    for (const [index, tct] of says.tcts.entries()) artifacts.push(tctRow(from, tct, index))
    for (const [index, delegation] of says.delegations.entries())
      artifacts.push(delegationRow(from, delegation, index))
    if (says.revocation !== undefined) revocations.push({ ...from, says: says.revocation })
  }
  return sql`${sessionArray(sql, sessions)}, ${artifactArray(sql, artifacts)}, ${claimArray(sql, artifacts)},
    ${revocationArray(sql, revocations)}`
}
