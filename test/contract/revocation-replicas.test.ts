import { randomInt, randomUUID } from "node:crypto"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { sendTo } from "../support/service/client.ts"
import { ENTRIES, LIST, listOf, type Revoked } from "../support/service/revocations.ts"
import { sqlOn, startOn } from "../support/service/Service.ts"
import { listFault, type SignedList } from "../support/service/verify-list.ts"

const REVOCATIONS = 200
const AT_ONCE = 20

const percentile = (values: ReadonlyArray<number>, share: number): number =>
  Math.round(values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? 0)

it.live(
  `two replicas serve each of ${REVOCATIONS} revocations soon after its answer, as one growing list`,
  () =>
    Effect.gen(function* () {
      const databaseUrl = yield* freshDatabase
      const replicas = [yield* startOn(databaseUrl), yield* startOn(databaseUrl)] as const
      const fresh: Array<number> = []
      const answered: Array<number> = []
      const versions: Array<number> = []
      let late = 0

      /** ms until a replica's list names the id. */
      const seenBy = Effect.fnUntraced(function* (replica: (typeof replicas)[number], jti: string) {
        const begun = performance.now()
        yield* eventually(
          Effect.map(sendTo(replica, LIST), ({ text }) => text.includes(jti)),
          (listed) => listed,
          5000
        )
        return performance.now() - begun
      })

      yield* Effect.forEach(
        Array.from({ length: REVOCATIONS }),
        Effect.fnUntraced(function* () {
          const [own, other] = randomInt(2) === 0 ? replicas : [replicas[1], replicas[0]]
          const jti = randomUUID()
          const begun = performance.now()
          const answer = yield* sendTo(own, ENTRIES, { key: true, body: { jti, reason: "r" } })
          answered.push(performance.now() - begun)
          assert.strictEqual(answer.status, 201, answer.text)
          const { listVersion } = answer.json<Revoked>()
          if (listVersion === null) {
            // The list did not follow within the 3 s that an answer waits for it.
            late += 1
            yield* Effect.all([seenBy(own, jti), seenBy(other, jti)], { concurrency: "unbounded" })
            return
          }
          versions.push(listVersion)
          const [next, waited] = yield* Effect.all([sendTo(own, LIST), seenBy(other, jti)], {
            concurrency: "unbounded"
          })
          assert.include(next.text, jti, "the very next answer of the replica that was asked")
          fresh.push(waited)
        }),
        { concurrency: AT_ONCE, discard: true }
      )
      console.log(
        `${REVOCATIONS} revocations on two replicas: answered p50 ${percentile(answered, 0.5)} ms, ` +
          `p99 ${percentile(answered, 0.99)} ms; on the other replica after the answer p50 ${percentile(fresh, 0.5)} ms, ` +
          `p99 ${percentile(fresh, 0.99)} ms, max ${percentile(fresh, 1)} ms; ${new Set(versions).size} versions`
      )
      // A second is what a machine of its own keeps; this one runs other suites meanwhile.
      assert.isAtMost(late, REVOCATIONS / 4)
      assert.isBelow(percentile(fresh, 0.5), 1000)
      assert.isBelow(Math.max(...fresh), 5000)

      const lists = yield* Effect.all(replicas.map(listOf))
      for (const { entries } of lists) assert.strictEqual(entries.length, REVOCATIONS)
      const sql = yield* sqlOn(databaseUrl)
      const published = yield* sql<{
        readonly version: number
        readonly at: number
        readonly body: string | null
      }>`
        select version::int as version, published_at::float8 as at, body
        from revocation_lists order by revocation_lists.version`
      assert.deepEqual(
        published.map(({ version }) => version),
        published.map((_, index) => index + 1)
      )
      for (const [index, { at, body }] of published.entries()) {
        assert.isAbove(at, published[index - 1]?.at ?? 0, "published_at must grow")
        if (body !== null) assert.isUndefined(listFault(body))
      }
      // every replica serves the bytes that are stored
      const stored = published.at(-1)?.body
      for (const replica of replicas) {
        const { text } = yield* sendTo(replica, LIST)
        const { published_at: at } = (JSON.parse(text) as SignedList).revocation_list
        if (at === published.at(-1)?.at) assert.strictEqual(text, stored)
      }
      // the ledger has each of them once
      const [events] = yield* sql<{ readonly n: number }>`
        select count(distinct payload)::int as n from audit_events where type = 'tct.revoked'`
      assert.strictEqual(events?.n, REVOCATIONS)
    }),
  120_000
)
