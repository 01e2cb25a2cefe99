/** One administrative act, as the audit keeps it; committed together with the act itself. */
export interface AdminAct {
  /** UUIDv7. */
  readonly id: string
  /** `<subject>.<verb>`, such as `agent.register`. */
  readonly action: string
  /** Who acted; never a credential. */
  readonly actorId: string
  /** What was acted upon. */
  readonly targetId: string | null
  /** Never holds a secret. */
  readonly details: Readonly<Record<string, unknown>>
  readonly requestId: string | null
}
