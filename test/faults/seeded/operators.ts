import { randomUUID } from "node:crypto"
import { Effect, Random } from "effect"
import { ENTRIES, LIST, type Revoked } from "../../support/service/revocations.ts"
import type { SignedList } from "../../support/service/verify-list.ts"
import { report } from "./reporters.ts"
import { anyReplica, ask, type World } from "./World.ts"

const TRIES = 5
const BETWEEN_TRIES_MS = 200

/** Revokes; what was acknowledged with a version must be in what the same replica serves from then on. */
const revoke = (world: World, jti: string) =>
  Effect.gen(function* () {
    const { journal } = world
    const reason = `lost ${jti.slice(0, 4)}`
    const body = { jti, reason }
    const key = (yield* Random.nextBoolean) ? randomUUID() : undefined
    const sent = { reason, certainty: "unknown" as "unknown" | "acknowledged" }
    journal.revocations.set(jti, sent)
    const headers = key === undefined ? {} : { "idempotency-key": key }
    for (let n = 0; n < TRIES; n += 1) {
      const replica = yield* anyReplica(world)
      const answer = yield* ask(world, replica, ENTRIES, { key: true, body, headers })
      if (answer?.status === 201) {
        sent.certainty = "acknowledged"
        if (answer.json<Revoked>().listVersion === null) return
        const list = yield* ask(world, replica, LIST, {})
        if (list?.status === 200 && !list.text.includes(jti))
          journal.violated(
            "the next list of the replica that answered names the revoked",
            `${jti} at replica ${replica.name}, ${answer.text}, but the list is of ${list.json<SignedList>().revocation_list.published_at}`
          )
        return
      }
      if (answer !== undefined && ![409, 500, 503].includes(answer.status))
        journal.violated("a proper revocation is stored or put off", `${answer.status} ${answer.text}`)
      yield* Effect.sleep(BETWEEN_TRIES_MS)
    }
    if (key !== undefined) journal.openKeys.push({ path: ENTRIES, key, body })
  })

/** Revokes tokens that nobody knows, and ones that delegations come from. */
export const operator = (world: World) =>
  Effect.gen(function* () {
    const root = randomUUID()
    if ((yield* Random.next) < 0.4) {
      const children = Array.from(
        { length: yield* Random.nextIntBetween(1, 6) },
        () => randomUUID() as string
      )
      const delegations = children.map((jti, n) => ({
        id: randomUUID(),
        type: "delegation.issued",
        ts: "2026-01-02T03:04:05.678Z",
        payload: {
          jti,
          parent_jti: n % 2 === 0 ? root : children[n - 1],
          delegator: "agent-a",
          delegatee: "agent-b",
          scope: ["demo.read"]
        }
      }))
      const reporting = report(world, delegations, yield* Random.nextBoolean)
      // In either order.
      if (yield* Random.nextBoolean) yield* reporting
      else yield* Effect.all([reporting, revoke(world, root)], { concurrency: 2, discard: true })
    }
    if (!world.journal.revocations.has(root)) yield* revoke(world, root)
  })
