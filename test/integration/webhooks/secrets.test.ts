import { randomBytes } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Option, Redacted, Result } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { type BackgroundDb, Db } from "../../../src/db/Db.ts"
import { DataKeys } from "../../../src/identity/DataKeys.ts"
import { SecretRewrap } from "../../../src/webhooks/SecretRewrap.ts"
import { Subscriptions } from "../../../src/webhooks/Subscriptions.ts"
import { encryptCurrent } from "../../../src/webhooks/stored-secrets.ts"
import { WebhookSecrets } from "../../../src/webhooks/WebhookSecrets.ts"
import { eventually } from "../../support/db/eventually.ts"
import { hold, waitingFor } from "../../support/db/hold.ts"
import { TestDb, type TestSchema } from "../../support/db/TestDb.ts"
import { testPlatform } from "../../support/TestPlatform.ts"
import { operator, subscribe, subscriptionServices } from "../../support/webhooks/Webhooks.ts"

const ringKey = (id: string) => `${id}:${randomBytes(32).toString("base64")}`
const [k1, k2] = [ringKey("k1"), ringKey("k2")]

type Environment = Readonly<Record<string, string>>
const ring = (...keys: ReadonlyArray<string>): Environment => ({ DATA_ENCRYPTION_KEYS: keys.join(",") })
const derived: Environment = {}
const withoutSeed: Environment = { CP_AID_SEED_HEX: "" }

type Services = Layer.Success<typeof subscriptionServices> | DataKeys

/** Runs as a process with these variables on the database of the suite would; what it logs goes to `lines`. */
const under = (environment: Environment, lines: Array<string> = []) => {
  const logger = Logger.layer([Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))])
  const services = Layer.fresh(
    subscriptionServices.pipe(Layer.provideMerge(testPlatform(environment)), Layer.provideMerge(logger))
  )
  return <A, E>(effect: Effect.Effect<A, E, Services | Db | BackgroundDb | TestSchema>) =>
    Effect.provide(effect, services)
}

/** The secrets deliveries would be signed with: current, then previous. */
const secretsOf = Effect.fnUntraced(function* (id: string) {
  const target = (yield* (yield* WebhookSecrets).findTargets([id])).get(id)
  return target?.secrets?.map((secret) => (secret === undefined ? "" : Redacted.value(secret)))
})

const rotate = Effect.fnUntraced(function* (id: string, secret: string, graceSecs?: number) {
  const { rotateSecret } = yield* Subscriptions
  return yield* rotateSecret(id, { secret, ...(graceSecs === undefined ? {} : { graceSecs }) }, operator)
})

const rewrap = Effect.flatMap(SecretRewrap, ({ runOnce }) => runOnce)

const keyIds = Effect.gen(function* () {
  const { sql } = yield* Db
  const rows = yield* sql<{ readonly keyId: string }>`select distinct key_id from webhooks order by key_id`
  return rows.map(({ keyId }) => keyId)
})

const emptied = Effect.flatMap(Db, ({ sql }) => sql`delete from webhooks`)

layer(TestDb, { timeout: "60 seconds", excludeTestServices: true })("secrets at rest", (it) => {
  it.effect("are readable under every key of the ring and written under the first", () =>
    Effect.gen(function* () {
      yield* emptied
      const first = yield* under(ring(k1))(subscribe({ secret: "first secret" }))
      const second = yield* under(ring(k2, k1))(subscribe({ secret: "second secret" }))
      assert.deepEqual(yield* keyIds, ["k1", "k2"])
      for (const keys of [ring(k2, k1), ring(k1, k2)]) {
        assert.deepEqual(yield* under(keys)(secretsOf(first.id)), ["first secret"])
        assert.deepEqual(yield* under(keys)(secretsOf(second.id)), ["second secret"])
      }
    })
  )

  it.effect("stay readable when a ring is configured where none was, with a seed and without one", () =>
    Effect.gen(function* () {
      const made: Array<string> = []
      for (const before of [derived, withoutSeed]) {
        made.push((yield* under(before)(subscribe({ secret: "kept" }))).id)
      }
      for (const later of [ring(k1), derived, { ...withoutSeed, ...ring(k1) }]) {
        const [derivedId = "", generatedId = ""] = made
        const hasSeed = later["CP_AID_SEED_HEX"] !== ""
        assert.deepEqual(yield* under(later)(secretsOf(derivedId)), hasSeed ? ["kept"] : undefined)
        assert.deepEqual(yield* under(later)(secretsOf(generatedId)), ["kept"])
      }
    })
  )

  it.effect("are brought under the current key in batches, once, with the previous ones", () =>
    Effect.gen(function* () {
      yield* emptied
      const ids = yield* under(ring(k1))(
        Effect.gen(function* () {
          const ids: Array<string> = []
          for (let n = 0; n < 230; n += 1) ids.push((yield* subscribe({ secret: `secret ${n}` })).id)
          yield* rotate(ids[7] ?? "", "another secret")
          yield* rotate(ids[8] ?? "", "another secret", 1)
          return ids
        })
      )
      const { sql } = yield* Db
      yield* sql`
        update webhooks set prev_secret_until = clock_timestamp() - interval '1 second' where id = ${ids[8] ?? ""}::uuid`
      const process = under(ring(k2, k1))
      assert.strictEqual(yield* process(rewrap), 230)
      assert.deepEqual(yield* keyIds, ["k2"])
      assert.strictEqual(yield* process(rewrap), 0)
      // readable without the old key now
      const alone = under(ring(k2))
      for (const [n, id] of ids.entries()) {
        const expected =
          n === 7 ? ["another secret", "secret 7"] : n === 8 ? ["another secret"] : [`secret ${n}`]
        assert.deepEqual(yield* alone(secretsOf(id)), expected)
      }
      // what is no longer valid is not kept
      const [kept] = yield* sql<{ readonly n: number }>`
        select count(*)::int as n from webhooks where prev_secret_enc is not null`
      assert.strictEqual(kept?.n, 1)
    })
  )

  it.effect("never lose a rotation to a re-wrap that had read the secret before", () =>
    Effect.gen(function* () {
      yield* emptied
      const { id } = yield* under(ring(k1))(subscribe({ secret: "read before" }))
      yield* under(ring(k2, k1))(
        Effect.gen(function* () {
          const rotated = encryptCurrent(yield* DataKeys, id, Redacted.make("rotated"))
          const { letGo } = yield* hold(
            (sql, schema) => sql`
              update ${sql(schema)}.webhooks set secret_enc = ${rotated}::bytea, key_id = 'k2' where id = ${id}::uuid`
          )
          const rewrapping = yield* Effect.forkChild(rewrap)
          yield* eventually(waitingFor("update webhooks"), (n) => n > 0)
          yield* letGo
          assert.strictEqual(yield* Fiber.join(rewrapping), 0)
          assert.deepEqual(yield* secretsOf(id), ["rotated"])
        })
      )
    })
  )

  it.effect(
    "that cannot be read are reported once, left alone, sent with by nobody, and replaced by a rotation",
    () =>
      Effect.gen(function* () {
        yield* emptied
        const lost = yield* under(ring(k1))(subscribe({ secret: "lost secret" }))
        const lines: Array<string> = []
        yield* under(
          ring(k2),
          lines
        )(
          Effect.gen(function* () {
            const fine = yield* subscribe({ secret: "fine secret" })
            assert.strictEqual(yield* rewrap, 0)
            assert.strictEqual(yield* rewrap, 0)
            assert.lengthOf(lines, 1)
            assert.include(lines[0], '"k1"')
            assert.isUndefined(yield* secretsOf(lost.id))
            assert.deepEqual(yield* secretsOf(fine.id), ["fine secret"])
            assert.deepEqual(yield* (yield* WebhookSecrets).countByKey, { current: 1, other: 0, unknown: 1 })
            const { previousSecretExpiresAt } = yield* rotate(lost.id, "new secret")
            assert.isNull(previousSecretExpiresAt)
            assert.deepEqual(yield* secretsOf(lost.id), ["new secret"])
            assert.strictEqual(yield* rewrap, 0)
            assert.lengthOf(lines, 1)
          })
        )
      })
  )

  it.effect("do not decrypt in another row or column", () =>
    Effect.gen(function* () {
      yield* emptied
      const { sql } = yield* Db
      yield* under(ring(k1))(
        Effect.gen(function* () {
          const [a, b] = [
            yield* subscribe({ secret: "secret of a" }),
            yield* subscribe({ secret: "secret of b" })
          ]
          yield* rotate(a.id, "next secret of a")
          assert.deepEqual(yield* secretsOf(a.id), ["next secret of a", "secret of a"])
          yield* sql`update webhooks set secret_enc = prev_secret_enc, prev_secret_enc = secret_enc where id = ${a.id}::uuid`
          assert.isUndefined(yield* secretsOf(a.id))
          yield* sql`
            update webhooks set secret_enc = (select secret_enc from webhooks where id = ${b.id}::uuid), prev_secret_enc = null
            where id = ${a.id}::uuid`
          assert.isUndefined(yield* secretsOf(a.id))
          assert.deepEqual(yield* secretsOf(b.id), ["secret of b"])
        })
      )
    })
  )

  it.effect("sign with the previous one as long as its overlap lasts, and never with one before that", () =>
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* under(derived)(
        Effect.gen(function* () {
          const { id } = yield* subscribe({ secret: "one" })
          yield* rotate(id, "two", 100)
          assert.deepEqual(yield* secretsOf(id), ["two", "one"])
          yield* rotate(id, "three")
          assert.deepEqual(yield* secretsOf(id), ["three", "two"])
          // a repeat of the same rotation keeps the overlap
          yield* rotate(id, "three")
          assert.deepEqual(yield* secretsOf(id), ["three", "two"])
          // and may end it
          yield* rotate(id, "three", 0)
          assert.deepEqual(yield* secretsOf(id), ["three"])
          yield* rotate(id, "four")
          yield* sql`update webhooks set prev_secret_until = clock_timestamp() where id = ${id}::uuid`
          assert.deepEqual(yield* secretsOf(id), ["four"])
          // what is over does not come back
          yield* rotate(id, "four")
          assert.deepEqual(yield* secretsOf(id), ["four"])
        })
      )
    })
  )

  it.effect("are found for many subscriptions at once, and for none that is gone", () =>
    under(derived)(
      Effect.gen(function* () {
        const { findById, findTargets } = yield* WebhookSecrets
        const [a, b] = [
          yield* subscribe({ active: false }),
          yield* subscribe({ url: "https://b.example.com/" })
        ]
        yield* (yield* Subscriptions).remove(b.id, operator)
        const targets = yield* findTargets([a.id, b.id])
        assert.deepEqual([...targets.keys()], [a.id])
        assert.deepInclude(targets.get(a.id), { url: a.url, active: false })
        assert.strictEqual((yield* findTargets([])).size, 0)
        const known = yield* findById(a.id, visibleToAll)
        assert.isTrue(Option.isSome(known) && Result.isSuccess(known.value.open))
        const foreign = { _tag: "orgs", orgIds: ["00000000-0000-8000-8000-000000000002"] } as const
        assert.isTrue(Option.isNone(yield* findById(a.id, foreign)))
      })
    )
  )
})
