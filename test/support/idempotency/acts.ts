import { Context, Effect, Layer, Schema } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { platform } from "../../../src/access/Access.ts"
import { anonymous } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { CurrentRequest } from "../../../src/http/CurrentRequest.ts"
import { idempotencyCompletion } from "../../../src/idempotency/completion.ts"
import { type Executed, Idempotency } from "../../../src/idempotency/Idempotency.ts"
import { completionWith, type Reservation, ReservationLost } from "../../../src/idempotency/model.ts"
import { idempotentRoute } from "../../../src/idempotency/route.ts"
import { isWireError } from "../../../src/wire/catalogue.ts"

/** What an act says of itself: how many times it had been done, which is 1 if all is well. */
const Facts = Schema.Struct({ label: Schema.String, times: Schema.Int })
export type Facts = typeof Facts.Type

export const acting = idempotentRoute({
  scope: "tests.act",
  status: 201,
  facts: Facts,
  render: ({ label, times }) => HttpServerResponse.jsonUnsafe({ label, times }, { status: 201 })
})

/** Acts with visible effects, completed as every act of the service is: in one fenced SQL call. */
export class Acts extends Context.Service<
  Acts,
  {
    readonly act: (
      label: string
    ) => (reservation: Reservation | undefined) => Effect.Effect<Executed<Facts>, ReservationLost>
    /** How often the act was done. */
    readonly times: (label: string) => Effect.Effect<number>
    /** Rows of keys. */
    readonly states: (key: string) => Effect.Effect<ReadonlyArray<string>>
  }
>()("test/idempotency/Acts") {
  static readonly layer = Layer.effect(
    Acts,
    Effect.gen(function* () {
      const { sql } = yield* Db
      yield* sql`create table acts (label text not null)`
      yield* sql`
        create function act_v1(p_completion idempotency_completion_v1, p_label text) returns int
        language plpgsql as $$
        declare
          times int;
        begin
          perform from log_head for update;
          if lost_idempotency_v1(array[p_completion]) <> '{}' then
            return -1;
          end if;
          insert into acts values (p_label);
          select count(*) into times from acts where label = p_label;
          perform complete_idempotency_v1(p_completion, jsonb_build_object('times', times));
          return times;
        end
        $$`
      const act = (label: string) => (reservation: Reservation | undefined) =>
        Effect.gen(function* () {
          const completion =
            reservation === undefined
              ? sql`null::idempotency_completion_v1`
              : idempotencyCompletion(sql, completionWith(reservation, { label }))
          const [row] = yield* Effect.orDie(
            sql<{ readonly times: number }>`select act_v1(${completion}, ${label}) as times`
          )
          const times = row?.times ?? -1
          if (times < 0) return yield* new ReservationLost()
          return { facts: { label, times }, committed: true }
        })
      const times = (label: string) =>
        sql<{ readonly n: number }>`select count(*)::int as n from acts where label = ${label}`.pipe(
          Effect.map(([row]) => row?.n ?? 0),
          Effect.orDie
        )
      const states = (key: string) =>
        sql<{ readonly state: string }>`select state from idempotency_keys where key = ${key}`.pipe(
          Effect.map((rows) => rows.map(({ state }) => state)),
          Effect.orDie
        )
      return { act, times, states }
    })
  )
}

export interface Asked {
  /** None unless given. */
  readonly key?: string
  readonly body?: string
  /** Hex; any. */
  readonly credential?: string
  readonly namespace?: string
  readonly path?: string
  readonly wantsProblem?: boolean
}

export interface Answered {
  /** `201`, or status and code of a refusal. */
  readonly outcome: string
  readonly text: string
  readonly contentType: string | undefined
  readonly replayed: boolean
}

const answered = ({ body, headers, status }: HttpServerResponse.HttpServerResponse): Answered => {
  const text = body._tag === "Uint8Array" ? Buffer.from(body.body).toString("utf8") : ""
  const { code } = text === "" ? {} : (JSON.parse(text) as { readonly code?: string }) // answers here are JSON objects
  return {
    outcome: code === undefined ? String(status) : `${status} ${code}`,
    text,
    contentType: headers["content-type"],
    replayed: headers["idempotency-replayed"] === "true"
  }
}

/** Asks as a client would; refusals that the edge would render come as `error <code>`. */
export const ask = <E, R>(
  asked: Asked,
  handler: (reservation: Reservation | undefined) => Effect.Effect<Executed<Facts>, E, R>
) =>
  Effect.gen(function* () {
    const { run } = yield* Idempotency
    const headers: Record<string, string> = {}
    if (asked.key !== undefined) headers["idempotency-key"] = asked.key
    if (asked.namespace !== undefined) headers["x-aitp-namespace"] = asked.namespace
    const path = asked.path ?? "/api/acts"
    const web = HttpServerRequest.fromWeb(new Request(`http://test${path}`, { method: "POST", headers }))
    const request = Object.assign(web, { source: { method: "POST", headers } }) // where the listener has Node's message
    return yield* run(
      acting,
      { body: Buffer.from(asked.body ?? "{}"), credentialHash: () => asked.credential ?? "aa" },
      handler
    ).pipe(
      Effect.map(answered),
      Effect.catch((error: unknown) =>
        isWireError(error)
          ? Effect.succeed<Answered>({
              outcome: `error ${error.code}`,
              text: "",
              contentType: undefined,
              replayed: false
            })
          : Effect.die(error)
      ),
      Effect.provideService(HttpServerRequest.HttpServerRequest, request),
      Effect.provideService(CurrentRequest, {
        id: "request-1",
        principal: anonymous,
        route: {
          key: "",
          method: "POST",
          template: path,
          access: platform,
          bodyLimit: 0,
          limitedBy: "caller"
        },
        wantsProblem: asked.wantsProblem ?? false
      })
    )
  })
