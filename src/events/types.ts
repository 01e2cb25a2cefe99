/** Event types the service knows by name; every other type is stored and streamed as it comes. */

const aliases: ReadonlyMap<string, string> = new Map([["handshake.completed", "handshake.complete"]])

/** The type under which an event is matched, projected and delivered; storage and stream keep the sent one. */
export const canonicalType = (type: string): string => aliases.get(type) ?? type

/** `source` of events the service makes itself; nobody else may use it. */
export const OWN_SOURCE = "cp"

/** Sources that only the service may use: a report that claims one is stored under `ingest:<source>`. */
export const reservedSources: ReadonlySet<string> = new Set([OWN_SOURCE, "idp"])

const deliverable: ReadonlySet<string> = new Set([
  "agent.registered",
  "agent.expired",
  "agent.deregistered",
  "handshake.complete",
  "handshake.failed",
  "tct.revoked",
  // Delivered only to those who name them.
  "webhook.disabled",
  "agent.integrity_failed",
  "agent.clone_suspected"
])

/** Whether an event of this canonical type can be delivered to a webhook at all (contract §8.1). */
export const isDeliverable = (canonical: string): boolean => deliverable.has(canonical)
