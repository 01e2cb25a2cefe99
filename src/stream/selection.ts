import { type Visibility, visibilityKey } from "../access/Visibility.ts"
import { type EventFilters, HIDDEN_SOURCE, HIDDEN_TYPE } from "../events/history.ts"
import { canonicalType } from "../events/types.ts"

/** Which events a reader gets; `type` is canonical. */
export interface Selection extends EventFilters {
  readonly visibility: Visibility
}

/** The members of an event that decide who gets it. */
export interface Routing {
  /** Canonical. */
  readonly type: string
  /** ms since 1970. */
  readonly ts: number
  readonly aidA: string | null
  readonly aidB: string | null
  readonly sessionId: string | null
  readonly runId: string | null
  readonly namespace: string | null
  readonly source: string
  readonly orgIds: ReadonlyArray<string>
}

export const selectionOf = (filters: EventFilters, visibility: Visibility): Selection => ({
  ...filters,
  type: filters.type === undefined ? undefined : canonicalType(filters.type),
  visibility
})

/** Equal for selections that get the same events. */
export const selectionKey = (selection: Selection): string => {
  const { aid, namespace, runId, sessionId, since, source, type, until, visibility } = selection
  return JSON.stringify([
    type ?? null,
    aid ?? null,
    sessionId ?? null,
    runId ?? null,
    namespace ?? null,
    source ?? null,
    since?.getTime() ?? null,
    until?.getTime() ?? null,
    visibilityKey(visibility)
  ])
}

/** Whether the reader gets the event. The one definition for what is in memory; `LedgerPages` has it in SQL. */
export const selects = (selection: Selection, event: Routing): boolean => {
  const { aid, namespace, runId, sessionId, since, source, type, until, visibility } = selection
  return (
    (type === undefined ? event.type !== HIDDEN_TYPE : event.type === type) &&
    (source === undefined ? event.source !== HIDDEN_SOURCE : event.source === source) &&
    (runId === undefined || event.runId === runId) &&
    (sessionId === undefined || event.sessionId === sessionId) &&
    (aid === undefined || event.aidA === aid || event.aidB === aid) &&
    (namespace === undefined || event.namespace === namespace) &&
    (since === undefined || event.ts >= since.getTime()) &&
    (until === undefined || event.ts <= until.getTime()) &&
    (visibility._tag === "all" || visibility.orgIds.some((org) => event.orgIds.includes(org)))
  )
}
