import { canonicalJson } from "../aitp/jcs.ts"
import type { NewEvent } from "./model.ts"
import { OWN_SOURCE } from "./types.ts"

/** An event the service makes itself (contract §7.5); what is not given is null. */
export const ownEvent = (given: {
  /** UUIDv7. */
  readonly id: string
  readonly type: string
  /** ms since 1970. */
  readonly ts: number
  readonly aidA: string | null
  readonly namespace: string | null
  readonly payload: Readonly<Record<string, unknown>>
}): NewEvent => {
  const payload = JSON.stringify(given.payload)
  return {
    ...given,
    payload,
    aidB: null,
    sessionId: null,
    runId: null,
    grants: null,
    capability: null,
    artifacts: null,
    source: OWN_SOURCE,
    content: canonicalJson([given.type, given.ts, given.aidA, payload])
  }
}
