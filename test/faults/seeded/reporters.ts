import { randomUUID } from "node:crypto"
import { Effect, Random } from "effect"
import * as fc from "fast-check"
import { everything, reportedItems } from "../../support/projections/reports.ts"
import type { Ingested } from "../../support/service/events.ts"
import { anyReplica, ask, type World } from "./World.ts"

const PATH = "/api/events"
/** Requests with which one report is tried. */
const TRIES = 4
const BETWEEN_TRIES_MS = 150

type Item = Readonly<Record<string, unknown>>

/** Reports of every projected kind about few sessions, tokens and delegations, so that they meet and compete. */
const poolOf = (seed: number): ReadonlyArray<Item> =>
  fc
    .sample(reportedItems(everything, 60), { seed, numRuns: 40 })
    .flat()
    .map((item) => ({ ...item }))

/** Sends a report until it is acknowledged or patience ends, and notes how certain the client is. */
export const report = (world: World, items: ReadonlyArray<Item>, keyed: boolean) =>
  Effect.gen(function* () {
    const { journal } = world
    const key = randomUUID()
    const options = { key: true, body: items, ...(keyed ? { headers: { "idempotency-key": key } } : {}) }
    for (const item of items) {
      const { id, payload } = item as { readonly id?: string; readonly payload?: { readonly marker: string } }
      if (id !== undefined) journal.items.set(id, { item: { ...item, id }, certainty: "unknown" })
      else if (payload !== undefined) journal.marked.set(payload.marker, "unknown")
    }
    const acknowledge = () => {
      for (const item of items) {
        const { id, payload } = item as {
          readonly id?: string
          readonly payload?: { readonly marker: string }
        }
        const sent = id === undefined ? undefined : journal.items.get(id)
        if (sent !== undefined) sent.certainty = "acknowledged"
        else if (payload !== undefined) journal.marked.set(payload.marker, "acknowledged")
      }
    }
    const evidence = (text: string) => `${items.length} items${keyed ? ` with key ${key}` : ""}: ${text}`
    for (let n = 0; n < TRIES; n += 1) {
      const answer = yield* ask(world, yield* anyReplica(world), PATH, options)
      if (answer?.status === 200) {
        acknowledge()
        const { dropped, ingested } = answer.json<Ingested>()
        if (ingested + dropped !== items.length || dropped > 0)
          journal.violated("an acknowledged report is taken as a whole", evidence(answer.text))
        if ((yield* Random.next) < 0.3) yield* again(world, items, options, answer.text, evidence)
        return true
      }
      if (answer !== undefined && answer.status !== 503 && answer.status !== 409 && answer.status !== 500)
        journal.violated("a proper report is stored or put off", evidence(`${answer.status} ${answer.text}`))
      yield* Effect.sleep(BETWEEN_TRIES_MS)
    }
    if (keyed) journal.openKeys.push({ path: PATH, key, body: items })
    return false
  })

/** Sends what was acknowledged again, maybe elsewhere: it is answered alike, and stored no second time. */
const again = (
  world: World,
  items: ReadonlyArray<Item>,
  options: {
    readonly headers?: Readonly<Record<string, string>>
    readonly key: boolean
    readonly body: unknown
  },
  first: string,
  evidence: (text: string) => string
) =>
  Effect.gen(function* () {
    const answer = yield* ask(world, yield* anyReplica(world), PATH, options)
    if (answer?.status !== 200) return
    if (options.headers !== undefined) {
      if (answer.text !== first)
        world.journal.violated(
          "a repeated request is answered as the first",
          evidence(`${first} and then ${answer.text}`)
        )
      return
    }
    const { duplicates, inserted } = answer.json<Ingested>()
    if (inserted !== 0 || duplicates !== items.length)
      world.journal.violated("what is known is not stored again", evidence(answer.text))
  })

/** Reports single items and batches, with keys, with ids, and with neither. */
export const reporter = (world: World, seed: number) => {
  const pool = poolOf(seed)
  let taken = 0
  return Effect.gen(function* () {
    const size = (yield* Random.nextBoolean) ? 1 : yield* Random.nextIntBetween(2, 20)
    const items = Array.from({ length: size }, (): Item => {
      const item = pool[taken++ % pool.length] as Item
      // Ids of their own: another item under the id of this one would be a conflict, which is another subject.
      return { ...item, id: randomUUID() }
    })
    const marked = Array.from({ length: yield* Random.nextIntBetween(0, 2) }, () => ({
      type: "capability.invoked",
      ts: "2026-01-02T03:04:05.678Z",
      payload: { capability: "demo.read", marker: randomUUID() }
    }))
    yield* report(world, [...items, ...marked], yield* Random.nextBoolean)
  })
}
