import type { NewEvent, StoredEvent } from "./model.ts"

const json = JSON.stringify

/**
 * An event as REST answers carry it (contract §7.1): absent members are null, and the receipt time, position,
 * reporter, namespace and artifacts are added. The payload is spliced in as the text that was stored and hashed.
 */
export const renderEvent = (event: StoredEvent): string =>
  `{"id":"${event.id}","type":${json(event.type)},"ts":"${event.ts.toISOString()}","aidA":${json(event.aidA)},` +
  `"aidB":${json(event.aidB)},"sessionId":${json(event.sessionId)},"runId":${json(event.runId)},` +
  `"grants":${event.grants ?? "null"},"payload":${event.payload ?? "null"},"source":${json(event.source)},` +
  `"createdAt":"${event.createdAt.toISOString()}","seq":${event.seq},"reportedBy":${json(event.reportedBy)},` +
  `"namespace":${json(event.namespace)},"artifacts":${event.artifacts ?? "null"}}`

type Envelope = Pick<NewEvent, "id" | "type" | "aidA" | "aidB" | "sessionId" | "runId" | "source"> & {
  readonly ts: Date | number
  /** JSON text. */
  readonly grants: string | null
  /** JSON text; null once erased. */
  readonly payload: string | null
}

/** A member with its comma; nothing when it is absent. */
const member = (name: string, text: string | null): string => (text === null ? "" : `,"${name}":${text}`)

const textMember = (name: string, value: string | null): string =>
  value === null ? "" : `,"${name}":${json(value)}`

/**
 * An event as stream frames and webhooks carry it (contract §7.1): absent members are left out. The text ends before the
 * value of `seq`, the last member, which is unknown until the event is stored.
 */
export const renderEnvelope = (event: Envelope): string =>
  `{"id":"${event.id}","type":${json(event.type)},"ts":"${new Date(event.ts).toISOString()}"` +
  textMember("aidA", event.aidA) +
  textMember("aidB", event.aidB) +
  textMember("sessionId", event.sessionId) +
  textMember("runId", event.runId) +
  member("grants", event.grants) +
  member("payload", event.payload) +
  `,"source":${json(event.source)},"seq":`

/** A stored event as stream frames carry it. */
export const renderFrameEvent = (event: StoredEvent): string => `${renderEnvelope(event)}${event.seq}}`
