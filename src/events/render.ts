import type { StoredEvent } from "./model.ts"

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
