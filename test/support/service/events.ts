import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { read, send } from "./client.ts"

/** An event as history and detail show it. */
export interface EventRow {
  readonly id: string
  readonly type: string
  readonly ts: string
  readonly aidA: string | null
  readonly aidB: string | null
  readonly sessionId: string | null
  readonly runId: string | null
  readonly grants: ReadonlyArray<string> | null
  readonly payload: unknown
  readonly source: string
  readonly createdAt: string
  readonly seq: number
  readonly reportedBy: string
  readonly namespace: string | null
  readonly artifacts: unknown
}

export interface EventPage {
  readonly events: ReadonlyArray<EventRow>
  readonly count: number
  readonly nextCursor: string | null
}

/** Answer of a report. */
export interface Ingested {
  readonly ingested: number
  readonly inserted: number
  readonly duplicates: number
  readonly dropped: number
  readonly sanitized: number
  readonly errors: ReadonlyArray<{ readonly index: number; readonly field: string; readonly reason: string }>
  readonly position: string | null
}

/** Sends a report with the API key, whatever the body. */
export const postEvents = (body: unknown) => send("/api/events", { body, key: true })

/** A report that must succeed. */
export const ingest = (body: unknown) =>
  Effect.map(postEvents(body), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json<Ingested>()
  })

/** The events of a run in the order they were stored. */
export const eventsOfRun = (runId: string) =>
  Effect.map(
    read<EventPage>(`/api/events/history?run_id=${encodeURIComponent(runId)}&limit=1000`),
    ({ events }) => events.toSorted((a, b) => a.seq - b.seq)
  )
