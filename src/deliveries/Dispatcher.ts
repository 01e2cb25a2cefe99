import { randomUUID } from "node:crypto"
import { Cause, Context, Effect, Exit, FiberMap, Layer, Queue } from "effect"
import { AppConfig } from "../config.ts"
import { onBackground } from "../db/Db.ts"
import { LedgerHints } from "../events/LedgerHints.ts"
import { Drain } from "../http/Drain.ts"
import { Disabling } from "../webhooks/Disabling.ts"
import { Claims } from "./Claims.ts"
import { type Held, Lanes } from "./Lanes.ts"
import type { AttemptResult, Claimed, EndpointState, Target } from "./model.ts"
import { Sender } from "./Sender.ts"
import { Settlement } from "./Settlement.ts"
import { Targets } from "./Targets.ts"

/** Longest time in ms without a look for rows that are due: those of other replicas, of dead ones, and retries. */
const POLL_MS = 1000
/** Shortest pause between two claims in ms; a claim that took longer is followed by a pause as long as itself. */
const SPACING_MS = 4
/** Results written down together. */
const MAX_RESULTS = 256
/** Rows freed or given up in one look. */
const TIDY_LIMIT = 1000
/** A claim lives this much longer than the lease of a job: an attempt may take ten seconds. */
const LEASE_FACTOR = 1.5
/** Time in ms to give claims back when the service ends. */
const RELEASE_MS = 2000

/** A claimed delivery and where it goes. */
type Row = Claimed & { readonly target: Target }

const announce = ({ state, was, webhookId }: EndpointState) =>
  state === was
    ? Effect.void
    : Effect.annotateLogs(Effect.logInfo(`circuit breaker ${state}`), "webhook", webhookId)

/**
 * Delivers what is due: claims rows under a lease that it keeps renewing, attempts them, and writes the results down in
 * batches. Every replica runs one.
 */
export class Dispatcher extends Context.Service<
  Dispatcher,
  {
    /** Something may be due; returns at once. */
    readonly wake: () => void
  }
>()("cp/deliveries/Dispatcher") {
  static readonly layer = Layer.effect(
    Dispatcher,
    Effect.gen(function* () {
      const { database, webhooks } = yield* AppConfig
      const claims = yield* Claims
      const disabling = yield* Disabling
      const drain = yield* Drain
      const hints = yield* LedgerHints
      const sender = yield* Sender
      const settlement = yield* Settlement
      const targets = yield* Targets

      /** This process, among all that claim. */
      const self = randomUUID()
      const leaseMs = database.leaseSecs * 1000 * LEASE_FACTOR
      const perEndpoint = webhooks.concurrencyPerEndpoint
      const lanes = new Lanes<Row>({ total: webhooks.concurrency, perEndpoint })
      const signals = yield* Queue.sliding<void>(1)
      const wake = () => void Queue.offerUnsafe(signals, undefined)
      const results = yield* Queue.unbounded<AttemptResult>() // holds what `lanes` lets run at once
      yield* Effect.addFinalizer(() =>
        claims.release(self).pipe(Effect.timeout(RELEASE_MS), Effect.ignoreCause)
      )
      const attempts = yield* FiberMap.make<string>()

      /** Ends what this process does with a delivery. */
      const forget = (id: string) => {
        const stage = lanes.held.get(id)?.stage
        if (stage === "running" || stage === "unsettled") drain.leave()
        lanes.drop(id)
      }

      const release = (ids: ReadonlyArray<string>) => {
        for (const id of ids) forget(id)
        return ids.length === 0 ? Effect.void : claims.release(self, ids)
      }

      const attempt = ({ row }: Held<Row>) =>
        sender.attempt(row, row.target).pipe(
          // Before the result is taken for certain: until then the delivery is only claimed.
          Effect.tap(({ gone }) =>
            gone ? disabling.disable({ id: row.webhookId, url: row.target.url }, "gone") : Effect.void
          ),
          Effect.flatMap((result) => {
            lanes.ended(row.id, result.durationMs)
            return Effect.andThen(Queue.offer(results, result), pump)
          }),
          // Nobody knows what came of it: the claim runs out, and the delivery is attempted again.
          Effect.onExit((exit) => (Exit.isFailure(exit) ? Effect.sync(() => forget(row.id)) : Effect.void)),
          Effect.catchCause((cause) =>
            Cause.hasInterruptsOnly(cause)
              ? Effect.void
              : Effect.logError("an attempt to deliver a webhook broke off", cause).pipe(
                  Effect.annotateLogs("delivery", row.id)
                )
          )
        )

      /** Begins as many attempts as may run now; there may then be room for more claims. */
      const pump: Effect.Effect<void> = Effect.gen(function* () {
        wake()
        if (drain.active()) return
        for (let held = lanes.next(); held !== undefined; held = lanes.next()) {
          drain.enter()
          if (performance.now() < held.leaseUntil) yield* FiberMap.run(attempts, held.row.id, attempt(held))
          else forget(held.row.id)
        }
      })

      /** Claims what is due and has room here; whether anything was. */
      const claim = Effect.fnUntraced(function* (newest: boolean) {
        const { limit, rooms } = lanes.rooms()
        if (limit === 0) return false
        const askedAt = performance.now()
        const found = yield* claims.claim({
          process: self,
          leaseMs,
          limit,
          slots: perEndpoint,
          rooms,
          newest
        })
        if (found.length === 0) return false
        const known = yield* targets.resolve(found)
        const rows: Array<Row> = []
        const inVain: Array<string> = []
        for (const row of found) {
          const target = known.get(row.webhookId)
          if (target === undefined) inVain.push(row.id)
          else rows.push({ ...row, target })
        }
        inVain.push(...lanes.admit(rows, askedAt, askedAt + leaseMs))
        yield* pump
        yield* release(inVain)
        return true
      })

      let failing = false
      /** Goes on whatever comes of it; tells when it begins to fail, and when it works again. */
      const attend = (run: Effect.Effect<void>) =>
        Effect.matchCauseEffect(run, {
          onSuccess: () => {
            if (!failing) return Effect.void
            failing = false
            return Effect.logInfo("webhook deliveries go on")
          },
          onFailure: (cause) => {
            if (failing) return Effect.void
            failing = true
            return Effect.logWarning("webhook deliveries wait: they cannot be claimed", cause)
          }
        })

      const claiming = Effect.gen(function* () {
        for (let newest = true; !drain.active(); newest = !newest) {
          yield* Effect.timeoutOption(Queue.take(signals), POLL_MS)
          const began = performance.now()
          yield* attend(Effect.map(claim(newest), (found) => void (found && wake())))
          yield* Effect.sleep(failing ? POLL_MS : Math.max(SPACING_MS, performance.now() - began))
        }
        yield* Effect.ignoreCause(release(lanes.waiting()))
      })

      /** Applies what is known of an endpoint now; gives the ids of deliveries that wait for it in vain. */
      const learn = ({ slots, state, webhookId }: EndpointState): ReadonlyArray<string> => {
        if (state !== "closed") return lanes.halt(webhookId, performance.now())
        lanes.pace(webhookId, Math.min(slots ?? perEndpoint, perEndpoint))
        return []
      }

      const settling = Effect.gen(function* () {
        for (;;) {
          const batch = yield* Queue.takeBetween(results, 1, MAX_RESULTS)
          const states = yield* settlement.settle(self, batch)
          const inVain = states.flatMap(learn)
          for (const { delivery } of batch) forget(delivery.id)
          yield* Effect.ignoreCause(release(inVain))
          yield* pump
          yield* Effect.forEach(states, announce, { discard: true })
        }
      })

      const renew = Effect.gen(function* () {
        const ids = [...lanes.held.keys()]
        if (ids.length === 0) return
        const leaseUntil = performance.now() + leaseMs
        const renewed = yield* claims.renew(self, ids, leaseMs)
        for (const id of ids) {
          const held = lanes.held.get(id)
          if (held === undefined) continue
          if (renewed.has(id)) held.leaseUntil = leaseUntil
          else if (held.stage === "waiting") forget(id)
          else if (held.stage === "running") yield* FiberMap.remove(attempts, id)
        }
      })

      const tidy = Effect.map(claims.tidy(TIDY_LIMIT), ({ freed }) => {
        if (freed > 0) wake()
      })

      yield* Effect.forEach(
        [
          claiming,
          settling,
          Effect.forever(Effect.andThen(Effect.sleep(leaseMs / 3), attend(renew))),
          Effect.forever(Effect.andThen(Effect.sleep(POLL_MS), attend(tidy))),
          Effect.andThen(drain.begun, Effect.sync(wake))
        ],
        (fiber) => Effect.forkScoped(onBackground(fiber)),
        { discard: true }
      )
      yield* Effect.acquireRelease(
        Effect.sync(() => hints.subscribe((enqueued) => enqueued && wake())),
        (unsubscribe) => Effect.sync(unsubscribe)
      )
      return { wake }
    })
  )
}
