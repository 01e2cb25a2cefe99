/** How far back an overview looks, the wider the coarser its chart. */
export const ranges = {
  "1h": { interval: "1 hour", bucket: "minute" },
  "24h": { interval: "24 hours", bucket: "hour" },
  "7d": { interval: "7 days", bucket: "day" },
  "30d": { interval: "30 days", bucket: "day" }
} as const

export type Range = keyof typeof ranges

/** The range that a text names; a day for any other text and for none. */
export const rangeOf = (text: string | undefined): Range =>
  text !== undefined && Object.hasOwn(ranges, text) ? (text as Range) : "24h" // hasOwn has just told

/** What has been counted for an overview (contract §6.14). */
export interface Overview {
  /** Beginning of the range, by the database's clock. */
  readonly since: Date
  /** Registered and not expired. */
  readonly agentsRegistered: number
  readonly handshakesTotal: number
  /** Sessions first heard of in the range; of these the complete ones, and those neither complete nor failed. */
  readonly handshakesInRange: number
  readonly handshakesSuccessInRange: number
  readonly activeSessions: number
  readonly capabilityInvocationsInRange: number
  readonly pendingWebhookDeliveries: number
  /** Most frequent first. */
  readonly handshakesByBoundary: ReadonlyArray<{ readonly boundary: string; readonly count: number }>
  /** In the order of time, without empty buckets. */
  readonly handshakesOverTime: ReadonlyArray<{ readonly bucket: string; readonly count: number }>
  /** Most frequent first. */
  readonly topCapabilities: ReadonlyArray<{ readonly capability: string; readonly count: number }>
}

/** What an agent has taken part in. */
export interface AgentActivity {
  readonly aid: string
  /** Sessions with it as `aidA`, and as `aidB`. */
  readonly handshakesAsInitiator: number
  readonly handshakesAsResponder: number
  /** `capability.invoked` events with it as `aidA`. */
  readonly capabilityInvocations: number
}
