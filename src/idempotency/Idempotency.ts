import { randomUUID } from "node:crypto"
import { Cause, Context, Effect, Exit, Layer, Option } from "effect"
import { HttpServerRequest, type HttpServerResponse } from "effect/http"
import { AppConfig } from "../config.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import { errorResponse } from "../http/ErrorResponse.ts"
import { pathOf } from "../http/Target.ts"
import { isWireError } from "../wire/catalogue.ts"
import { IdempotencyInProgress, IdempotencyKeyInvalid, IdempotencyKeyReused } from "../wire/errors.ts"
import { fingerprint } from "./fingerprint.ts"
import { IdempotencyKeys } from "./IdempotencyKeys.ts"
import { keyHeader, readKey } from "./key.ts"
import type { Completion, Identity, Reservation } from "./model.ts"
import { ReservationLost } from "./model.ts"
import * as Outcomes from "./outcomes.ts"
import { type IdempotentRoute, renderedAnswer } from "./route.ts"

type Response = HttpServerResponse.HttpServerResponse

/** What a request with a key is known by. */
export interface IdempotentRequest<E = never, R = never> {
  /** As received. */
  readonly body: Uint8Array
  /**
   * SHA-256 of the credential, hex, or the principal's for callers whose credentials change; `undefined` lets the
   * request run as if it had no key. A function, as only a request with a key needs it.
   */
  readonly credentialHash: () => string | undefined
  /** What is decided before idempotency, unless the handler has decided it already: a body that is no JSON. */
  readonly precheck?: Effect.Effect<unknown, E, R>
}

/** What a handler made of its request. */
export interface Executed<Facts> {
  readonly facts: Facts
  /** False when there were no effects in whose transaction the reservation could have been completed. */
  readonly committed: boolean
}

type Refusal = IdempotencyKeyInvalid | IdempotencyInProgress | IdempotencyKeyReused

/** How long a request may run before another one with its key takes over. */
const LEASE_MS = 60_000

/** Executes requests with the same `Idempotency-Key` once (contract §5). */
export class Idempotency extends Context.Service<
  Idempotency,
  {
    /**
     * Answers a request of the route: from what is stored, or by running the handler. With a reservation the handler
     * completes it in the transaction of its effects, see `idempotencyCompletion`, or fails with `ReservationLost`
     * when it no longer holds. Refusals that would be the same again are stored; any other failure, also an
     * interruption, gives the key back. Without the header this is the handler and `render`, nothing else.
     */
    readonly run: <Facts, E, R, E2 = never, R2 = never>(
      route: IdempotentRoute<Facts>,
      request: IdempotentRequest<E2, R2>,
      handler: (reservation: Reservation | undefined) => Effect.Effect<Executed<Facts>, E, R>
    ) => Effect.Effect<
      Response,
      Exclude<E, ReservationLost> | E2 | Refusal,
      R | R2 | CurrentRequest | HttpServerRequest.HttpServerRequest
    >
  }
>()("cp/idempotency/Idempotency") {
  /** With leases of another length. */
  static readonly layerOf = ({ leaseMs }: { readonly leaseMs: number }) =>
    Layer.effect(
      Idempotency,
      Effect.gen(function* () {
        const { baseUrl } = (yield* AppConfig).server
        const keys = yield* IdempotencyKeys
        const count = Outcomes.counter(yield* Effect.context<never>())

        /** Stores an outcome that came without effects; false when the reservation was lost. */
        const store = Effect.fnUntraced(function* (completion: Completion) {
          const kept = yield* keys.complete(completion)
          count(kept ? "stored" : "lost")
          return kept
        })

        /** Gives the key back, if the database can be reached; if not, the lease will die. */
        const release = (reservation: Reservation) => {
          count("released")
          return Effect.catchCause(keys.release(reservation), (cause) =>
            Effect.logInfo("an idempotency key could not be released; its lease will die", cause)
          )
        }

        /** Ends a reservation; none when it was lost and the key has to be looked at again. */
        const settle = Effect.fnUntraced(function* <Facts, E>(
          route: IdempotentRoute<Facts>,
          reservation: Reservation,
          exit: Exit.Exit<Executed<Facts>, E>
        ) {
          if (Exit.isSuccess(exit)) {
            const { committed, facts } = exit.value
            if (committed) count("stored")
            else if (!(yield* store({ reservation, answer: { status: route.status, facts } }))) {
              return Option.none<Response>()
            }
            return Option.some(route.render(facts))
          }
          const failure = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
          if (failure instanceof ReservationLost) {
            count("lost")
            return Option.none<Response>()
          }
          if (isWireError(failure) && Outcomes.isKept(failure)) {
            const { wantsProblem } = yield* CurrentRequest
            const { url } = yield* HttpServerRequest.HttpServerRequest
            const response = errorResponse(failure, { baseUrl, path: pathOf(url), wantsProblem })
            const kept = yield* store({ reservation, answer: renderedAnswer(response) })
            return kept ? Option.some(response) : Option.none<Response>()
          }
          yield* release(reservation)
          return yield* Effect.failCause(exit.cause as Cause.Cause<Exclude<E, ReservationLost>>) // it is none, see above
        })

        /** One look at the key, and the request itself if it may run. Only the handler can be interrupted. */
        const attempt = <Facts, E, R>(
          route: IdempotentRoute<Facts>,
          identity: Identity,
          digest: Uint8Array,
          handler: (reservation: Reservation) => Effect.Effect<Executed<Facts>, E, R>
        ) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.gen(function* () {
              const leaseToken = randomUUID()
              const found = yield* keys.reserve(identity, { fingerprint: digest, leaseToken, leaseMs })
              switch (found._tag) {
                case "Done":
                  count("replayed")
                  return Option.some(route.replay(found.answer))
                case "InProgress":
                  count("in_progress")
                  return yield* new IdempotencyInProgress({})
                case "Reused":
                  count("reused")
                  return yield* new IdempotencyKeyReused({})
                case "Reserved": {
                  if (found.takenOver) count("taken_over")
                  const reservation = { ...identity, leaseToken, status: route.status }
                  const exit = yield* Effect.exit(restore(Effect.suspend(() => handler(reservation))))
                  return yield* settle(route, reservation, exit)
                }
              }
            })
          )

        const runWithKey = Effect.fn("Idempotency.run")(function* <Facts, E, R, E2, R2>(
          header: string,
          route: IdempotentRoute<Facts>,
          request: IdempotentRequest<E2, R2>,
          handler: (reservation: Reservation | undefined) => Effect.Effect<Executed<Facts>, E, R>
        ) {
          if (request.precheck !== undefined) yield* request.precheck
          const key = yield* Effect.fromResult(readKey(header))
          const credentialHash = request.credentialHash()
          if (credentialHash === undefined) {
            const { facts } = yield* neverLost(handler(undefined))
            return route.render(facts)
          }
          const { headers, method, url } = yield* HttpServerRequest.HttpServerRequest
          const digest = fingerprint({
            method,
            path: pathOf(url),
            namespace: headers["x-aitp-namespace"],
            body: request.body
          })
          const identity = { scope: route.scope, credentialHash, key }
          for (;;) {
            const answer = yield* attempt(route, identity, digest, handler)
            if (Option.isSome(answer)) return answer.value
          }
        })

        const run: Idempotency["Service"]["run"] = (route, request, handler) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (current) => {
            const header = keyHeader(current)
            return header === undefined
              ? Effect.map(neverLost(handler(undefined)), ({ facts }) => route.render(facts))
              : runWithKey(header, route, request, handler)
          })

        return Idempotency.of({ run })
      })
    )

  static readonly layer = Idempotency.layerOf({ leaseMs: LEASE_MS })
}

/** A request without a reservation has none to lose; failing so all the same would be answered as a defect. */
const neverLost = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self as Effect.Effect<A, Exclude<E, ReservationLost>, R> // what handlers promise, see `run`
