import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { type Visibility, visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { Egress } from "../../../src/egress/Egress.ts"
import { TargetRefused } from "../../../src/egress/model.ts"
import { completionWith } from "../../../src/idempotency/model.ts"
import { Subscriptions } from "../../../src/webhooks/Subscriptions.ts"
import { Webhooks } from "../../../src/webhooks/Webhooks.ts"
import { WebhookSecrets } from "../../../src/webhooks/WebhookSecrets.ts"
import { operator, subscribe, WebhookSuite } from "../../support/webhooks/Webhooks.ts"

const everything = { limit: 1000, offset: 0, after: undefined }

/** An operator of one organisation. */
const member = (orgId: string) => ({
  requestId: "request-1",
  principal: {
    ...operator.principal,
    owner: orgId,
    visibility: { _tag: "orgs", orgIds: [orgId] } as Visibility
  }
})

const listed = (visibility: Visibility) =>
  Effect.gen(function* () {
    const found = yield* (yield* Webhooks).list(everything, visibility)
    return found.map(({ id }) => id)
  })

const countOf = (table: "webhooks" | "admin_audit_log") =>
  Effect.gen(function* () {
    const { sql } = yield* Db
    const [row] = yield* sql<{ readonly n: number }>`select count(*)::int as n from ${sql(table)}`
    return row?.n
  })

layer(WebhookSuite, { timeout: "60 seconds", excludeTestServices: true })("subscriptions", (it) => {
  it.effect("of an organisation are its own: no other one reads, changes, rotates or removes them", () =>
    Effect.gen(function* () {
      const { create, remove, rotateSecret, update } = yield* Subscriptions
      const [mine, theirs] = [member(randomUUID()), member(randomUUID())]
      const common = yield* subscribe()
      const created = yield* create({ url: "https://receiver.example.com/" }, mine, () => undefined)
      const { id } = created.webhook
      assert.deepEqual(yield* listed(mine.principal.visibility), [id])
      assert.deepEqual(yield* listed(theirs.principal.visibility), [])
      assert.includeMembers([...(yield* listed(visibleToAll))], [id, common.id])
      const { findById } = yield* Webhooks
      for (const [who, target] of [
        [theirs, id],
        [mine, common.id]
      ] as const) {
        assert.isTrue(Option.isNone(yield* findById(target, who.principal.visibility)))
        for (const attempt of [
          update(target, { active: false }, who),
          update(target, { secret: "mine now" }, who),
          rotateSecret(target, {}, who),
          remove(target, who)
        ]) {
          assert.strictEqual((yield* Effect.flip(attempt))._tag, "WebhookNotFound")
        }
        assert.isTrue(Option.getOrThrow(yield* findById(target, visibleToAll)).active)
      }
      yield* remove(id, mine)
      assert.deepEqual(yield* listed(mine.principal.visibility), [])
    })
  )

  it.effect("are not created by a request whose key was taken over, nor audited", () =>
    Effect.gen(function* () {
      const { create } = yield* Subscriptions
      const before = [yield* countOf("webhooks"), yield* countOf("admin_audit_log")]
      const lost = {
        scope: "webhooks.create",
        credentialHash: "aa",
        key: "k",
        leaseToken: randomUUID(),
        status: 201
      }
      const failure = yield* Effect.flip(
        create({ url: "https://receiver.example.com/" }, operator, () => completionWith(lost, {}))
      )
      assert.strictEqual(failure._tag, "ReservationLost")
      assert.deepEqual([yield* countOf("webhooks"), yield* countOf("admin_audit_log")], before)
    })
  )

  it.effect("that are rotated by many at once end with one of the secrets, and the one it replaced", () =>
    Effect.gen(function* () {
      const { rotateSecret } = yield* Subscriptions
      const { findTargets } = yield* WebhookSecrets
      const { id, secret } = yield* subscribe()
      const rotated = yield* Effect.all(
        Array.from({ length: 8 }, () => rotateSecret(id, {}, operator)),
        { concurrency: 8 }
      )
      const all = [secret, ...rotated.map((each) => Redacted.value(each.secret))]
      const target = (yield* findTargets([id])).get(id)
      const live = target?.secrets?.map((each) => (each === undefined ? "" : Redacted.value(each))) ?? []
      assert.lengthOf(new Set(live), 2)
      assert.includeMembers(all, live)
      // the first one was replaced by one of them, and that by another one
      assert.notInclude(live, secret)
    })
  )

  it.effect("keep every member that some of many simultaneous updates has set", () =>
    Effect.gen(function* () {
      const { update } = yield* Subscriptions
      const { id } = yield* subscribe()
      const changes = [
        { url: "https://b.example.com/" },
        { events: ["tct.revoked"] },
        { filter: { runId: "r" } },
        { active: false },
        { secret: "a new secret" }
      ]
      for (let round = 0; round < 10; round += 1) {
        yield* update(id, { url: "https://a.example.com/", events: [], filter: {}, active: true }, operator)
        yield* Effect.forEach(changes, (change) => update(id, change, operator), { concurrency: 5 })
        const now = Option.getOrThrow(yield* (yield* Webhooks).findById(id, visibleToAll))
        assert.deepInclude(now, {
          url: "https://b.example.com/",
          events: ["tct.revoked"],
          filter: { runId: "r" },
          active: false,
          secretHint: "cret"
        })
      }
    })
  )

  it.effect("whose URL is refused are neither created nor changed, whatever else is asked", () =>
    Effect.gen(function* () {
      const { id } = yield* subscribe()
      const before = [yield* countOf("webhooks"), yield* countOf("admin_audit_log")]
      const refusing = Layer.fresh(Subscriptions.layer).pipe(
        Layer.provide(
          Layer.mock(Egress)({
            judge: () => Effect.fail(new TargetRefused({ rule: "address", reason: "not a public address" }))
          })
        )
      )
      yield* Effect.gen(function* () {
        const { create, update } = yield* Subscriptions
        const url = "https://inside.example.com/"
        assert.strictEqual(
          (yield* Effect.flip(create({ url }, operator, () => undefined)))._tag,
          "TargetRefused"
        )
        const changes = { url, active: false, secret: "another secret" }
        assert.strictEqual((yield* Effect.flip(update(id, changes, operator)))._tag, "TargetRefused")
        // nobody is asked about the URL of what does not exist, or of what keeps its URL
        assert.strictEqual(
          (yield* Effect.flip(update(randomUUID(), { url }, operator)))._tag,
          "WebhookNotFound"
        )
        yield* update(id, { active: true }, operator)
      }).pipe(Effect.provide(refusing))
      assert.strictEqual(yield* countOf("webhooks"), before[0])
      assert.isTrue(Option.getOrThrow(yield* (yield* Webhooks).findById(id, visibleToAll)).active)
    })
  )
})
