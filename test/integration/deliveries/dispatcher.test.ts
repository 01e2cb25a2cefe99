import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { Claims } from "../../../src/deliveries/Claims.ts"
import { Dispatcher } from "../../../src/deliveries/Dispatcher.ts"
import type { AttemptResult, Claimed, Outgoing } from "../../../src/deliveries/model.ts"
import { Sender } from "../../../src/deliveries/Sender.ts"
import { Settlement } from "../../../src/deliveries/Settlement.ts"
import { Targets } from "../../../src/deliveries/Targets.ts"
import { Ingest } from "../../../src/events/Ingest.ts"
import { Drain } from "../../../src/http/Drain.ts"
import { Disabling } from "../../../src/webhooks/Disabling.ts"
import { eventually } from "../../support/db/eventually.ts"
import { Ledger } from "../../support/events/Ledger.ts"
import { newEvent } from "../../support/events/report.ts"
import { testConfig } from "../../support/TestPlatform.ts"
import { enqueue, failureOf, resultOf, stored, subscribe } from "../../support/webhooks/outbox.ts"

const config = testConfig({
  LEASE_SECS: "1",
  WEBHOOK_CONCURRENCY: "4",
  WEBHOOK_CONCURRENCY_PER_ENDPOINT: "2",
  WEBHOOK_RETRY_ATTEMPTS: "50"
})

const target = { url: "https://receiver.example.com", keys: undefined }
const targets = Layer.mock(Targets)({
  resolve: (rows) => Effect.succeed(new Map(rows.map(({ webhookId }) => [webhookId, target])))
})

const succeed = (delivery: Outgoing) => Effect.succeed(resultOf(delivery as Claimed)) // as all that is attempted

interface Watched {
  /** Deliveries in the order of their attempts. */
  readonly begun: ReadonlyArray<string>
  readonly interrupted: ReadonlyArray<string>
  readonly running: () => number
}

/** Runs a dispatcher whose attempts do this, until the effect has ended. */
const dispatching = <A, E, R>(
  attempt: (delivery: Outgoing, n: number) => Effect.Effect<AttemptResult>,
  use: (watched: Watched, scope: Scope.Closeable, drain: Drain["Service"]) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const { sql } = yield* Db
    yield* sql`truncate webhooks, webhook_deliveries, webhook_attempts, webhook_breakers`
    const begun: Array<string> = []
    const interrupted: Array<string> = []
    let running = 0
    const sender = Layer.mock(Sender)({
      attempt: (delivery) =>
        Effect.suspend(() => {
          begun.push(delivery.id)
          running += 1
          return attempt(delivery, begun.length)
        }).pipe(
          Effect.onInterrupt(() => Effect.sync(() => void interrupted.push(delivery.id))),
          Effect.ensuring(Effect.sync(() => void (running -= 1)))
        )
    })
    const scope = yield* Scope.make()
    const services = yield* Layer.buildWithScope(
      // Every dispatcher is a process of its own.
      Layer.fresh(
        Dispatcher.layer.pipe(
          Layer.provide([sender, targets, Layer.mock(Disabling)({}), Settlement.layer]),
          Layer.provideMerge(Drain.layer),
          Layer.provide(config)
        )
      ),
      scope
    )
    return yield* use(
      { begun, interrupted, running: () => running },
      scope,
      Context.get(services, Drain)
    ).pipe(Effect.ensuring(Scope.close(scope, Exit.void)))
  })

const statesOf = Effect.fnUntraced(function* (webhook: string) {
  const { sql } = yield* Db
  return yield* sql<{ readonly status: string; readonly claimed: boolean; readonly attempts: number }>`
    select status, claimed_by is not null as claimed, attempts from webhook_deliveries
    where webhook_id = ${webhook}::uuid`
})

const Stores = Claims.layer.pipe(Layer.provideMerge(Ledger))

layer(Stores, { excludeTestServices: true, timeout: "60 seconds" })("the dispatcher", (it) => {
  it.effect("attempts an event as soon as it is committed, and as many at once as it may", () =>
    dispatching(succeed, ({ begun }) =>
      Effect.gen(function* () {
        const ingest = yield* Ingest
        const webhook = yield* subscribe()
        const recorded = (n: number) =>
          ingest.record(
            { principal: system, receivedAt: Date.now() },
            Array.from({ length: n }, () => newEvent({ type: "tct.revoked" }))
          )
        yield* recorded(1)
        yield* eventually(
          Effect.sync(() => begun.length),
          (n) => n === 1
        )
        yield* recorded(100)
        yield* eventually(
          statesOf(webhook),
          (rows) => rows.filter(({ status }) => status === "delivered").length === 101
        )
        assert.strictEqual(new Set(begun).size, 101)
      })
    )
  )

  it.effect("keeps its claims for as long as attempts take", () =>
    dispatching(
      (delivery) => Effect.delay(succeed(delivery), "4 seconds"),
      ({ begun, interrupted, running }) =>
        Effect.gen(function* () {
          const webhook = yield* subscribe()
          yield* enqueue(webhook, 3)
          yield* eventually(Effect.sync(running), (n) => n === 2)
          const claims = yield* Claims
          yield* eventually(
            Effect.andThen(claims.tidy(10), statesOf(webhook)),
            (rows) => rows.filter(({ status }) => status === "delivered").length === 2
          )
          assert.lengthOf(new Set(begun.slice(0, 2)), 2)
          assert.lengthOf(interrupted, 0)
        })
    )
  )

  it.effect("ends attempts whose claims it has lost, and has the slots for others", () =>
    dispatching(
      (delivery, n) => (n <= 2 ? Effect.never : succeed(delivery)),
      ({ begun, interrupted }) =>
        Effect.gen(function* () {
          const { sql } = yield* Db
          const webhook = yield* subscribe()
          yield* enqueue(webhook, 6)
          yield* eventually(
            Effect.sync(() => begun.length),
            (n) => n === 2
          )
          yield* sql`
            update webhook_deliveries set claimed_by = ${randomUUID()}::uuid, claimed_until = clock_timestamp()
            where claimed_by is not null`
          yield* eventually(
            Effect.sync(() => interrupted.length),
            (n) => n === 2
          )
          yield* eventually(statesOf(webhook), (rows) => rows.every(({ status }) => status === "delivered"))
          assert.sameMembers(begun.slice(0, 2), [...interrupted])
          assert.lengthOf(begun, 8)
        })
    )
  )

  it.effect(
    "repeats an attempt that broke off when its claim has run out, and meanwhile does the others",
    () =>
      dispatching(
        (delivery, n) => (n === 1 ? Effect.die(new Error("a fault")) : succeed(delivery)),
        ({ begun }) =>
          Effect.gen(function* () {
            const webhook = yield* subscribe()
            yield* enqueue(webhook, 5)
            yield* eventually(statesOf(webhook), (rows) => rows.every(({ status }) => status === "delivered"))
            assert.lengthOf(begun, 6)
            assert.strictEqual(begun.at(-1), begun[0])
          })
      )
  )

  it.effect("gives back what waits for an endpoint whose breaker has opened", () =>
    dispatching(
      (delivery) => Effect.succeed(failureOf(delivery as Claimed)), // as all that is attempted
      ({ begun }) =>
        Effect.gen(function* () {
          const { sql } = yield* Db
          const webhook = yield* subscribe()
          yield* enqueue(webhook, 40)
          const open = sql`select from webhook_breakers where state = 'open'`
          yield* eventually(open, (rows) => rows.length === 1)
          yield* eventually(statesOf(webhook), (rows) => rows.every(({ claimed }) => !claimed))
          assert.isAtMost(begun.length, 5 + 4)
          assert.strictEqual(
            (yield* statesOf(webhook)).filter(({ attempts }) => attempts === 0).length,
            40 - begun.length
          )
        })
    )
  )

  it.effect("serves others while some hang", () =>
    dispatching(
      (delivery) => (delivery.body === "hang" ? Effect.never : succeed(delivery)),
      ({ running }) =>
        Effect.gen(function* () {
          const { sql } = yield* Db
          const hanging = yield* Effect.forEach([1, 2, 3], () => subscribe())
          yield* Effect.forEach(hanging, (webhook) => enqueue(webhook, 20))
          yield* sql`update webhook_deliveries set body = 'hang'`
          yield* eventually(Effect.sync(running), (n) => n >= 3)
          const healthy = yield* subscribe()
          yield* enqueue(healthy, 30, { dueSecsAgo: 1 })
          yield* eventually(statesOf(healthy), (rows) => rows.every(({ status }) => status === "delivered"))
          assert.isAtMost(running(), 4)
        })
    )
  )

  it.effect("claims nothing while the service stops, finishes what runs and gives the rest back", () =>
    dispatching(
      (delivery) => Effect.delay(succeed(delivery), "500 millis"),
      ({ begun }, scope, drain) =>
        Effect.gen(function* () {
          const webhook = yield* subscribe()
          const ids = yield* enqueue(webhook, 20)
          yield* eventually(
            Effect.sync(() => begun.length),
            (n) => n === 2
          )
          assert.strictEqual(drain.running(), 2)
          yield* drain.begin
          yield* eventually(Effect.sync(drain.running), (n) => n === 0)
          assert.lengthOf(begun, 2)
          const rows = yield* Effect.forEach(ids, stored)
          assert.strictEqual(rows.filter(({ status }) => status === "delivered").length, 2)
          yield* Scope.close(scope, Exit.void)
          assert.isTrue((yield* statesOf(webhook)).every(({ claimed }) => !claimed))
        })
    )
  )

  it.effect("gives back what it was attempting when it has to end at once", () =>
    dispatching(
      () => Effect.never,
      ({ interrupted, running }, scope) =>
        Effect.gen(function* () {
          const webhook = yield* subscribe()
          yield* enqueue(webhook, 5)
          yield* eventually(Effect.sync(running), (n) => n === 2)
          yield* Scope.close(scope, Exit.void)
          assert.lengthOf(interrupted, 2)
          assert.isTrue(
            (yield* statesOf(webhook)).every(({ attempts, claimed }) => !claimed && attempts === 0)
          )
        })
    )
  )
})
