import { randomUUID } from "node:crypto"
import type { NewEvent } from "../../../src/events/model.ts"

/** An event ready for the ledger, with an id of its own unless one is given. */
export const newEvent = (over: Partial<NewEvent> = {}): NewEvent => {
  const id = over.id ?? randomUUID()
  return {
    id,
    type: "test.event",
    ts: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    aidA: null,
    aidB: null,
    sessionId: null,
    runId: null,
    namespace: null,
    grants: null,
    capability: null,
    payload: `{"id":"${id}"}`,
    artifacts: null,
    source: "test",
    content: `{"id":"${id}"}`,
    ...over
  }
}
