import { Effect, type Scope } from "effect"
import {
  accept,
  answer,
  type Behaviour,
  garbage,
  hang,
  huge,
  receiver,
  reset,
  slowly,
  type WebhookReceiver
} from "../../support/webhooks/WebhookReceiver.ts"
import type { Misbehaviour } from "./schedule.ts"

const misbehaviours: Readonly<Record<Misbehaviour, Behaviour>> = {
  hang,
  reset,
  garbage,
  redirect: answer(307, "", { location: "http://127.0.0.1:9/elsewhere" }),
  // Delivered: the status decides, and what follows is not read to its end.
  huge: huge(10),
  error: answer(500, "no"),
  late: slowly(2500)
}

/** A receiver with what it has accepted, which is what an endpoint acts upon. */
export interface Inbox {
  readonly name: string
  readonly url: string
  /** How often each event was accepted, by its id. */
  readonly accepted: Map<string, number>
}

/** Two receivers of webhooks: one that is always well, and one that behaves as it is told. */
export class Receivers {
  readonly steady: Inbox
  readonly moody: Inbox
  readonly #moody: WebhookReceiver

  private constructor(steady: Inbox, moody: Inbox, server: WebhookReceiver) {
    this.steady = steady
    this.moody = moody
    this.#moody = server
  }

  get all(): ReadonlyArray<Inbox> {
    return [this.steady, this.moody]
  }

  behave(as: Misbehaviour | "well"): void {
    const { accepted } = this.moody
    if (as === "well") this.#moody.behave(noting(accepted, accept))
    else if (as === "huge") this.#moody.behave(noting(accepted, misbehaviours.huge))
    else this.#moody.behave(misbehaviours[as])
  }

  static readonly make: Effect.Effect<Receivers, never, Scope.Scope> = Effect.gen(function* () {
    const inbox = (name: string, url: string): Inbox => ({ name, url, accepted: new Map() })
    const steady = yield* receiver()
    const moody = yield* receiver()
    const found = new Receivers(inbox("steady", steady.url), inbox("moody", moody.url), moody)
    steady.behave(noting(found.steady.accepted, accept))
    found.behave("well")
    return found
  })
}

const noting =
  (accepted: Map<string, number>, behaviour: Behaviour): Behaviour =>
  (response, received, n) => {
    const id = String(received.headers["webhook-id"])
    accepted.set(id, (accepted.get(id) ?? 0) + 1)
    behaviour(response, received, n)
  }
