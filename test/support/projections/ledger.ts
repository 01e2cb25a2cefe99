import { randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { DEFAULT_ORG, type OrgId } from "../../../src/access/Visibility.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { Delegations } from "../../../src/delegations/Delegations.ts"
import { Db } from "../../../src/db/Db.ts"
import { AuditEvents } from "../../../src/events/AuditEvents.ts"
import type { NewEvent, Recorded } from "../../../src/events/model.ts"
import { type ArtifactPolicy, type Batch, normaliseBatch } from "../../../src/events/normalise.ts"
import { seal } from "../../../src/events/seal.ts"
import { Sessions } from "../../../src/sessions/Sessions.ts"
import { Tcts } from "../../../src/tcts/Tcts.ts"
import { TestDb } from "../db/TestDb.ts"

/** The ledger with its projections over a schema of the suite's own. */
export const ProjectedLedger = Layer.mergeAll(
  AuditEvents.layer,
  Sessions.layer,
  Tcts.layer,
  Delegations.layer
).pipe(Layer.provideMerge(TestDb))

/** Receipt of every report of the tests, ms since 1970. */
export const RECEIVED_AT = Date.UTC(2026, 5, 1)

/** Reported items as the ingest route reads them. */
export const readItems = (items: ReadonlyArray<unknown>, policy?: Partial<ArtifactPolicy>): Batch =>
  normaliseBatch(items, {
    reporter: "tests",
    receivedAt: RECEIVED_AT,
    mayBeUnclean: false,
    newId: randomUUID,
    policy: { redact: true, verification: "off", maxPayloadBytes: 65_536, ...policy }
  })

/** Who reports, and whose the events are. */
export interface Reporting {
  readonly policy?: Partial<ArtifactPolicy>
  readonly orgIdsOf?: (event: NewEvent) => ReadonlyArray<OrgId>
}

/** Reports items in one request. */
export const report = Effect.fnUntraced(function* (items: ReadonlyArray<unknown>, reporting: Reporting = {}) {
  const events = yield* AuditEvents
  const batch = readItems(items, reporting.policy)
  const sealed = seal(batch.events, {
    owner: DEFAULT_ORG,
    reportedBy: "tests",
    receivedAt: RECEIVED_AT,
    attemptId: randomUUID(),
    orgIdsOf: reporting.orgIdsOf ?? (() => [DEFAULT_ORG]),
    subscribed: false,
    contentHash: (content) => ({ hash: sha256(content), keyId: "tests" })
  })
  const answer = yield* events.append(sealed, 1)
  if (!("outcomes" in answer)) return yield* Effect.die(new Error("nothing here changes owners"))
  return { batch, recorded: answer satisfies Recorded }
})

/** An empty ledger without projections. */
export const emptied = Effect.gen(function* () {
  const { sql } = yield* Db
  for (const table of [
    "event_ids",
    "audit_events",
    "event_orgs",
    "handshake_sessions",
    "issued_tcts",
    "delegations",
    "artifact_conflicts",
    "revocation_facts"
  ]) {
    yield* sql`delete from ${sql(table)}`
  }
  yield* sql`update log_head set seq = 0`
})
