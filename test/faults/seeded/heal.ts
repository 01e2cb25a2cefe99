import { Cause, Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { checkpointOf } from "../../support/log/client.ts"
import { type Answer, sendTo } from "../../support/service/client.ts"
import type { World } from "./World.ts"

/** The system must be well again so long after the last fault. */
const HEALED_MS = 30_000
/** Waits longer than this are told with the last reason for them. */
const NOTEWORTHY_MS = 5000

/** Waits for what must come true once nothing fails any more. */
const within = <E>(
  world: World,
  property: string,
  look: Effect.Effect<string | undefined, E>
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const began = performance.now()
    for (let last = ""; ;) {
      const reason = yield* Effect.catchCause(Effect.timeout(look, 5000), (cause) =>
        Effect.succeed(Cause.pretty(cause))
      )
      const ms = Math.round(performance.now() - began)
      if (reason === undefined) {
        if (ms > NOTEWORTHY_MS)
          world.tell(`${world.journal.at().padStart(9)}  ${property}, after ${ms} ms: ${last}`)
        return
      }
      if (ms > HEALED_MS) return world.journal.violated(property, reason)
      last = reason
      yield* Effect.sleep(100)
    }
  })

/** Undefined when it has this status. */
const unless = (status: number, answer: Answer): string | undefined =>
  answer.status === status ? undefined : `${answer.status} ${answer.text.slice(0, 300)}`

/** A request whose outcome its client never learned gets one. */
const settled = (world: World) =>
  Effect.forEach(
    world.journal.openKeys,
    ({ body, headers, key, path }, index) =>
      within(
        world,
        "no idempotency key stays in use",
        Effect.map(
          sendTo(world.replicas[index % world.replicas.length]!, path, {
            key: headers === undefined,
            body,
            headers: { ...headers, "idempotency-key": key }
          }),
          (answer) => (answer.text.includes("IDEMPOTENCY_IN_PROGRESS") ? `${key}: ${answer.text}` : undefined)
        )
      ),
    { concurrency: 8, discard: true }
  )

/** Waits until everything that follows from what was stored has happened; how long the parts of it took. */
export const heal = (
  world: World,
  sql: SqlClient.SqlClient
): Effect.Effect<ReadonlyMap<string, number>, unknown> =>
  Effect.gen(function* () {
    const took = new Map<string, number>()
    const timed = (name: string, effect: Effect.Effect<unknown, unknown>) =>
      Effect.gen(function* () {
        const began = performance.now()
        yield* effect
        took.set(name, Math.round(performance.now() - began))
      })
    yield* timed(
      "ready",
      Effect.forEach(
        world.replicas,
        (replica) =>
          within(
            world,
            `replica ${replica.name} is ready again`,
            Effect.map(sendTo(replica, "/api/readyz"), (answer) => unless(200, answer))
          ),
        { concurrency: "unbounded" }
      )
    )
    // Keys that dead processes left reserved are free once their lease of a minute has run out; here it does so at once.
    yield* sql`update idempotency_keys set lease_until = clock_timestamp() where state = 'in_progress'`
    yield* timed("keys", settled(world))
    yield* timed(
      "deliveries",
      within(
        world,
        "every delivery is made",
        Effect.map(
          sql<{ readonly n: number; readonly first: string | null }>`
            select count(*)::int as n,
              (array_agg(status || ' after ' || attempts || ': ' || coalesce(error, '') || coalesce(' due ' || (next_retry_at - clock_timestamp())::text, '')
                || coalesce(' claimed until ' || (claimed_until - clock_timestamp())::text, '')))[1] as first
            from webhook_deliveries where status <> 'delivered'`,
          ([row]) => (row?.n === 0 ? undefined : `${row?.n} are left, one ${row?.first}`)
        )
      )
    )
    yield* timed(
      "lists",
      within(
        world,
        "every revocation is published and announced",
        Effect.map(
          sql<{ readonly left: string | null }>`
            select concat_ws(', ',
              (select 'an entry of no version' from revocation_entries where list_version is null limit 1),
              (select 'an unannounced version' from revocation_lists where not announced limit 1),
              (select 'an unfinished cascade' from revocation_cascades limit 1)) as left`,
          ([row]) => (row?.left === "" ? undefined : String(row?.left))
        )
      )
    )
    yield* timed(
      "log",
      Effect.forEach(world.replicas, (replica) =>
        within(
          world,
          `the log of replica ${replica.name} covers the ledger`,
          Effect.gen(function* () {
            const [head] = yield* sql<{ readonly seq: number }>`select seq::int as seq from log_head`
            const { size } = yield* checkpointOf(replica)
            return size === head?.seq ? undefined : `${size} of ${head?.seq}`
          })
        )
      )
    )
    return took
  })
