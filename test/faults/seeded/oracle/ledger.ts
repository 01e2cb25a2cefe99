import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { EventRow } from "../../../support/service/events.ts"
import { sendTo } from "../../../support/service/client.ts"
import { pulled, type Seen, streamed, unread } from "../readers.ts"
import type { World } from "../World.ts"

/** A row of the ledger, as it lies in the database. */
export interface Stored {
  readonly seq: number
  readonly id: string
  readonly type: string
  readonly source: string
  readonly aidA: string | null
  /** ms since 1970. */
  readonly ts: number
  readonly payload: unknown
}

/** Not shown to readers who do not ask for them. */
const isHidden = ({ source, type }: Stored) => source === "idp" || type === "revocation.list_published"

export const readLedger = (sql: SqlClient.SqlClient): Effect.Effect<ReadonlyArray<Stored>, unknown> =>
  Effect.map(
    sql<Omit<Stored, "payload"> & { readonly payload: string }>`
      select seq::int as seq, id, type, source, aid_a as "aidA", (extract(epoch from ts) * 1000)::float8 as ts, payload
      from audit_events order by audit_events.seq`,
    (rows) => rows.map((row) => ({ ...row, payload: JSON.parse(row.payload) as unknown }))
  )

/** All of history by its own pages, oldest first. */
const history = (world: World, index: number) =>
  Effect.gen(function* () {
    const rows: Array<EventRow> = []
    for (let cursor = ""; ;) {
      const answer = yield* sendTo(
        world.replicas[index]!,
        `/api/events/history?order=asc&limit=1000${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
        { key: true }
      )
      const { events, nextCursor } = answer.json<{
        readonly events: ReadonlyArray<EventRow>
        readonly nextCursor: string | null
      }>()
      rows.push(...events)
      if (nextCursor === null) return rows
      cursor = nextCursor
    }
  })

const firstDifference = (got: ReadonlyArray<string>, wanted: ReadonlyArray<string>): string | undefined => {
  const at = wanted.findIndex((each, index) => got[index] !== each)
  if (at === -1 && got.length === wanted.length) return undefined
  const place = at === -1 ? wanted.length : at
  return `${got.length} instead of ${wanted.length}; at ${place} ${got[place]} instead of ${wanted[place]}`
}

/** Acknowledged events are there exactly once, and everybody reads the same ones in the same order. */
export const judgeLedger = (
  world: World,
  ledger: ReadonlyArray<Stored>,
  readers: ReadonlyArray<Seen>
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { journal } = world
    for (const [index, { id, seq }] of ledger.entries())
      if (seq !== index + 1) {
        journal.violated("positions have no hole", `${id} has ${seq}, the one before ${index}`)
        break
      }
    const times = new Map<string, number>()
    const marks = new Map<string, number>()
    for (const { id, payload } of ledger) {
      times.set(id, (times.get(id) ?? 0) + 1)
      const marker = (payload as { readonly marker?: unknown } | null)?.marker
      if (typeof marker === "string") marks.set(marker, (marks.get(marker) ?? 0) + 1)
    }
    const check = (what: string, certainty: string, n: number) => {
      if (n > 1) journal.violated("an event is stored once", `${what} is there ${n} times`)
      if (n === 0 && certainty === "acknowledged")
        journal.violated("what was acknowledged is there", `${what} is lost`)
    }
    for (const [id, { certainty }] of journal.items) check(id, certainty, times.get(id) ?? 0)
    for (const [marker, certainty] of journal.marked) check(marker, certainty, marks.get(marker) ?? 0)
    const known = new Set(journal.items.keys())
    for (const { id, payload, source, type } of ledger) {
      const marker = (payload as { readonly marker?: unknown } | null)?.marker
      if (source !== "cp" && !known.has(id) && !journal.marked.has(String(marker)))
        journal.violated("nothing is stored that nobody sent", `${type} ${id}`)
    }

    const shown = ledger.filter((row) => !isHidden(row))
    const order = shown.map(({ id, seq }) => `${seq} ${id}`)
    for (const [index, replica] of world.replicas.entries()) {
      const rows = yield* history(world, index)
      const difference = firstDifference(
        rows.toSorted((a, b) => a.seq - b.seq).map(({ id, seq }) => `${seq} ${id}`),
        order
      )
      if (difference !== undefined)
        journal.violated("history is the ledger", `replica ${replica.name}: ${difference}`)
    }
    const late = [unread("a subscriber from the beginning"), unread("a reader from the beginning")] as const
    const last = shown.at(-1)?.seq ?? 0
    const isThrough = (seen: Seen) => (seen.events.at(-1)?.seq ?? 0) >= last
    for (let tries = 0; tries < 20 && [...readers, ...late].some((seen) => !isThrough(seen)); tries += 1) {
      yield* Effect.forEach(
        [...readers, late[0]].filter((seen) => !isThrough(seen)),
        (seen) => streamed(world, seen, 500),
        { concurrency: "unbounded" }
      )
      for (let more = true; more && !isThrough(late[1]);) more = (yield* pulled(world, late[1])) > 0
    }
    for (const { events, name } of [...readers, ...late]) {
      const difference = firstDifference(
        events.map(({ id, seq }) => `${seq} ${id}`),
        order
      )
      if (difference !== undefined)
        journal.violated("every reader gets the ledger in its order", `${name}: ${difference}`)
    }
  })
