import { byteaArray, textArray } from "../db/arrays.ts"
import type { Sql } from "../db/sql.ts"
import type { Completion } from "./model.ts"

const hash = (hex: string) => Buffer.from(hex, "hex")

/** Facts as JSON text; `undefined` is none. */
const factsOf = ({ answer: { facts } }: Completion) => (facts === undefined ? null : JSON.stringify(facts))

/** A completion as an `idempotency_completion_v1` SQL expression. */
export const idempotencyCompletion = (sql: Sql, completion: Completion) => {
  const { answer, reservation } = completion
  return sql`row(
    ${reservation.scope}::text, ${hash(reservation.credentialHash)}::bytea, ${reservation.key}::text,
    ${reservation.leaseToken}::uuid, ${answer.status}::smallint, ${factsOf(completion)}::text::jsonb,
    ${answer.body?.bytes ?? null}::bytea, ${answer.body?.mediaType ?? null}::text,
    ${answer.body?.encrypted === true}::boolean)::idempotency_completion_v1`
}

/**
 * Completions as an `idempotency_completion_v1[]` SQL expression, in order; `undefined`, a request without a key, is
 * null there, so that places are those of the requests. One array per column: the statement is prepared once.
 */
export const idempotencyCompletions = (sql: Sql, completions: ReadonlyArray<Completion | undefined>) => {
  const text = (pick: (each: Completion) => string | null | undefined) =>
    textArray(completions.map((each) => (each === undefined ? null : (pick(each) ?? null))))
  const bytes = (pick: (each: Completion) => Uint8Array | undefined) =>
    byteaArray(completions.map((each) => (each === undefined ? null : (pick(each) ?? null))))
  return sql`(
    select array_agg(
      case when scope is not null then
        row(scope, credential, key, lease, status::smallint, facts::jsonb, body, media, encrypted::boolean)::idempotency_completion_v1
      end order by n)
    from unnest(
      ${text((each) => each.reservation.scope)}::text[],
      ${bytes((each) => hash(each.reservation.credentialHash))}::bytea[],
      ${text((each) => each.reservation.key)}::text[],
      ${text((each) => each.reservation.leaseToken)}::uuid[],
      ${text((each) => String(each.answer.status))}::text[],
      ${text(factsOf)}::text[],
      ${bytes((each) => each.answer.body?.bytes)}::bytea[],
      ${text((each) => each.answer.body?.mediaType)}::text[],
      ${text((each) => String(each.answer.body?.encrypted === true))}::text[]
    ) with ordinality as t (scope, credential, key, lease, status, facts, body, media, encrypted, n))`
}
