import { parseAid } from "../aitp/aid.ts"
import type { Artifact, ReportedEvent } from "../events/artifact.ts"
import { firstCodePoints, firstText } from "../events/members.ts"
import { partiesOf } from "../tcts/contribution.ts"

/** How a party of a session is known; the smaller wins, whenever it was reported. */
export const basis = { startedSays: 0, otherSays: 1, derived: 2 } as const

export interface Party {
  readonly aid: string
  readonly basis: (typeof basis)[keyof typeof basis]
}

/** What one event says about its session; null is not said. */
export interface SessionContribution {
  readonly sessionId: string
  readonly kind: "started" | "complete" | "failed"
  readonly aidA: Party | null
  readonly aidB: Party | null
  readonly runId: string | null
  readonly namespace: string | null
  /** The first 128 characters, verbatim. */
  readonly boundary: string | null
  /** Of a failure. */
  readonly error: string | null
  /** Of a completion, in its order. */
  readonly grants: ReadonlyArray<string>
}

const MAX_BOUNDARY = 128

const kinds: Readonly<Record<string, SessionContribution["kind"]>> = {
  "handshake.started": "started",
  "handshake.complete": "complete",
  "handshake.failed": "failed"
}

/** Whether events of a canonical type belong to a session. */
export const isHandshake = (type: string): boolean => Object.hasOwn(kinds, type)

const firstAid = (...texts: ReadonlyArray<string | null>): string | null =>
  texts.find((text) => text !== null && parseAid(text) !== undefined) ?? null

/** The parties as the reporter's role tells them: the peer it names, and the subject and issuer of the TCT it holds. */
const derivedParties = ({ item, payload }: ReportedEvent, tct: Artifact | undefined) => {
  const { issuer, subject } = tct === undefined ? { issuer: null, subject: null } : partiesOf(tct.claims)
  const own = firstAid(subject)
  const peer = firstAid(firstText(payload["peer_aid"], item["peer_aid"]), issuer)
  switch (firstText(payload["role"], item["role"])) {
    case "initiator":
      return { aidA: own, aidB: peer }
    case "responder":
      return { aidA: peer, aidB: own }
    default:
      return { aidA: null, aidB: null }
  }
}

/**
 * What an event says about a session; undefined when it is none of the handshake events or names no session.
 * @param tct the first TCT it carries, if it may be used
 */
export const sessionContribution = (
  event: ReportedEvent,
  tct: Artifact | undefined
): SessionContribution | undefined => {
  const kind = isHandshake(event.type) ? kinds[event.type] : undefined
  if (kind === undefined || event.sessionId === null) return undefined
  const derived = derivedParties(event, tct)
  const said = kind === "started" ? basis.startedSays : basis.otherSays
  const party = (explicit: string | null, other: string | null): Party | null => {
    if (explicit !== null) return { aid: explicit, basis: said }
    return other === null ? null : { aid: other, basis: basis.derived }
  }
  const boundary = firstText(event.payload["boundary"])
  return {
    sessionId: event.sessionId,
    kind,
    aidA: party(event.aidA, derived.aidA),
    aidB: party(event.aidB, derived.aidB),
    runId: event.runId,
    namespace: event.namespace,
    boundary: boundary && firstCodePoints(MAX_BOUNDARY, boundary),
    error: kind === "failed" ? firstText(event.payload["error"]) : null,
    grants: kind === "complete" ? (event.grants ?? []) : []
  }
}
