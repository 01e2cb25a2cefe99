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

/** An act as it was stored. */
export interface RecordedAct extends AdminAct {
  /** To the millisecond. */
  readonly createdAt: Date
}

/** A page of acts; absent filters match everything. */
export interface AdminAuditQuery {
  /** Exact. */
  readonly action: string | undefined
  readonly actorId: string | undefined
  readonly targetId: string | undefined
  /** First and last `createdAt`, both inclusive. */
  readonly since: Date | undefined
  readonly until: Date | undefined
  readonly limit: number
  readonly offset: number
  /** Continue behind this act. */
  readonly after: { readonly createdAt: Date; readonly id: string } | undefined
}
