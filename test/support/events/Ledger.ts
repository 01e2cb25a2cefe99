import { Layer } from "effect"
import { AuditEvents } from "../../../src/events/AuditEvents.ts"
import { EventOwners } from "../../../src/events/EventOwners.ts"
import { GroupCommit } from "../../../src/events/GroupCommit.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { LedgerHints } from "../../../src/events/LedgerHints.ts"
import { LastSeen } from "../../../src/registry/LastSeen.ts"
import { TestDb } from "../db/TestDb.ts"
import { testPlatform } from "../TestPlatform.ts"

/** The ledger and its way in, over a migrated schema of the suite's own. */
export const Ledger = Ingest.layer.pipe(
  Layer.provideMerge(GroupCommit.layer),
  Layer.provideMerge(Layer.mergeAll(AuditEvents.layer, EventOwners.layer, LastSeen.layer, LedgerHints.layer)),
  Layer.provideMerge(testPlatform()),
  Layer.provideMerge(TestDb)
)
