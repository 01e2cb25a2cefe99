import { Effect, Option } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { Delegations } from "../../../src/delegations/Delegations.ts"
import { IssuerRevocations } from "../../../src/issuer-lists/IssuerRevocations.ts"
import { Tcts } from "../../../src/tcts/Tcts.ts"

/** A TCT as it is reported. */
export const tctEvent = (iss: string, sub: string, jti: string) => ({
  type: "tct.issued",
  payload: { tct: { jti, iss, sub } }
})

/** A delegation as it is reported. */
export const delegationEvent = (delegator: string, delegatee: string, jti: string, parent: string) => ({
  type: "delegation.issued",
  payload: { jti, parent_jti: parent, delegator, delegatee, scope: ["a"] }
})

/** What an agent's list says, without the list: that it revokes this id, at this second. */
export const revokedBy = Effect.fnUntraced(function* (aid: string, jti: string, secs: number) {
  const { sql } = yield* Db
  yield* sql`
    insert into issuer_lists (aid, manifest_sha256, manifest_expires_at)
    values (${aid}, '', '2100-01-01Z') on conflict do nothing`
  const { record } = yield* IssuerRevocations
  return Option.getOrThrow(yield* record(aid, JSON.stringify([{ jti, revoked_at: secs, reason: null }])))
})

const page = { limit: 1000, offset: 0, after: undefined, active: false } as const

export const tcts = (active = false) =>
  Effect.flatMap(Tcts, ({ list }) =>
    list(
      {
        ...page,
        active,
        issuer: undefined,
        subject: undefined,
        audience: undefined,
        capability: undefined,
        sessionId: undefined,
        jti: undefined
      },
      visibleToAll
    )
  )

export const delegations = (active = false) =>
  Effect.flatMap(Delegations, ({ list }) =>
    list({ ...page, active, parentJti: undefined, delegator: undefined, delegatee: undefined }, visibleToAll)
  )

/** Nothing observed, nothing revoked. */
export const emptied = Effect.gen(function* () {
  const { sql } = yield* Db
  for (const table of [
    "event_ids",
    "audit_events",
    "issued_tcts",
    "delegations",
    "artifact_conflicts",
    "revocation_facts",
    "issuer_revocations",
    "issuer_lists"
  ]) {
    yield* sql`delete from ${sql(table)}`
  }
  yield* sql`update log_head set seq = 0`
})
