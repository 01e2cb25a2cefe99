import { Effect } from "effect"
import { Db } from "../../../src/db/Db.ts"
import { type ArtifactState, inOrder, type ProjectedState } from "./model.ts"

/** A column as ISO text, or null. */
const isoText = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

type Row = Readonly<Record<string, unknown>>

const TEXT = ["issuer", "subject", "audience", "bindingCnf", "issuedAt", "expiresAt", "sessionId", "token"]
const LISTS: ReadonlySet<string> = new Set(["grants", "scope"])

const artifact = (row: Row, names: ReadonlyArray<string>): ArtifactState => ({
  issuerKey: String(row["issuerKey"]),
  jti: String(row["jti"]),
  claims: Object.fromEntries(names.flatMap((name) => (row[name] === null ? [] : [[name, row[name]]]))),
  reportedTs: String(row["reportedTs"]),
  signatureVerified: row["signatureVerified"] as boolean | null, // the column's type
  conflict: row["conflict"] === true
})

const sorted = (state: ArtifactState): ArtifactState => ({
  ...state,
  claims: Object.fromEntries(Object.entries(state.claims).toSorted(([a], [b]) => (a < b ? -1 : 1)))
})

/** A state whose claims are in the order of their names, for comparison. */
export const comparable = (state: ProjectedState): ProjectedState => ({
  ...state,
  tcts: inOrder(state.tcts.map((tct) => ({ ...tct, ...sorted(tct) }))),
  delegations: inOrder(state.delegations.map((delegation) => ({ ...delegation, ...sorted(delegation) })))
})

/** Everything the database holds of the projections, except what depends on when events arrived. */
export const storedState = Effect.gen(function* () {
  const { sql } = yield* Db
  const sessions = yield* sql<ProjectedState["sessions"][number]>`
    select
      session_id, status, aid_a, aid_b, grants, run_id, namespace_offer[2] as namespace,
      boundary_offer[2] as boundary, decided[4] as error, ${sql.literal(isoText("started_at"))} as started_at,
      case when status = 'complete' then decided[3] end as completed_at
    from handshake_sessions`
  const tcts = yield* sql<Row>`
    select
      t.issuer_key, t.jti, t.issuer_aid as issuer, t.subject_aid as subject, t.aud as audience, t.grants, t.binding_cnf,
      ${sql.literal(isoText("t.iat"))} as issued_at, ${sql.literal(isoText("t.expires_at"))} as expires_at, t.session_id,
      t.token_sha256 as token, ${sql.literal(isoText("t.reported_ts"))} as reported_ts, t.signature_verified, t.conflict,
      ${sql.literal(isoText("f.revoked_at"))} as revoked_at, f.reason as revoked_reason
    from issued_tcts t left join revocation_facts f on f.jti = t.jti`
  const delegations = yield* sql<Row>`
    select
      '' as issuer_key, d.jti, d.parent_jti as parent, d.delegator_aid as delegator, d.delegatee_aid as delegatee, d.scope,
      ${sql.literal(isoText("d.iat"))} as issued_at, ${sql.literal(isoText("d.expires_at"))} as expires_at,
      d.token_sha256 as token, ${sql.literal(isoText("d.reported_ts"))} as reported_ts, d.signature_verified, d.conflict,
      d.synthetic, ${sql.literal(isoText("coalesce(f.revoked_at, d.ancestor_revoked_at)"))} as revoked_at,
      case when f.jti is not null then 'explicit' when d.ancestor_revoked_at is not null then 'parent_revoked' end
        as revoked_reason
    from delegations d left join revocation_facts f on f.jti = d.jti`
  const lost = yield* sql<ProjectedState["lost"][number]>`
    select kind, issuer_key, jti, claim, value, event_id from artifact_conflicts`
  const facts = yield* sql<ProjectedState["facts"][number]>`
    select jti, ${sql.literal(isoText("revoked_at"))} as revoked_at, reason, event_id from revocation_facts`
  const state: ProjectedState = {
    sessions: inOrder(sessions),
    tcts: tcts.map((row) => ({
      ...artifact(row, [...TEXT, "grants"]),
      revokedAt: row["revokedAt"] as string | null, // the column's type, as below
      revokedReason: row["revokedReason"] as string | null
    })),
    delegations: delegations.map((row) => ({
      ...artifact(row, ["parent", "delegator", "delegatee", "scope", "issuedAt", "expiresAt", "token"]),
      synthetic: row["synthetic"] === true,
      revokedAt: row["revokedAt"] as string | null,
      revokedReason: row["revokedReason"] as string | null
    })),
    lost: inOrder(
      lost.map((each) =>
        LISTS.has(each.claim) ? { ...each, value: JSON.parse(String(each.value)) as unknown } : each
      )
    ),
    facts: inOrder(facts)
  }
  return comparable(state)
})
