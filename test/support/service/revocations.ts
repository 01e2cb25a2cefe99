import { randomUUID } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { send, sendTo } from "./client.ts"
import { listFault, type SignedList } from "./verify-list.ts"

export const ENTRIES = "/api/revocation/entries"
export const LIST = "/.well-known/aitp-revocation-list"
export const LIST_ALIAS = "/api/well-known/aitp-revocation-list"

/** Answer to a revocation. */
export interface Revoked {
  readonly jti: string
  readonly revokedAt: string
  readonly reason: string | null
  readonly issuer: string | null
  readonly alreadyRevoked: boolean
  readonly listVersion: number | null
  readonly cascade: {
    readonly tcts: ReadonlyArray<string>
    readonly delegations: ReadonlyArray<string>
    readonly counts: { readonly tcts: number; readonly delegations: number }
  }
}

/** Sends a revocation, whatever the body. */
export const postEntry = (body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  send(ENTRIES, { body, key: true, headers })

/** A revocation that must succeed. */
export const revoke = (
  body: Readonly<Record<string, unknown>> = {},
  headers?: Readonly<Record<string, string>>
) =>
  Effect.map(postEntry({ jti: randomUUID(), ...body }, headers), (answer) => {
    assert.strictEqual(answer.status, 201, answer.text)
    return answer.json<Revoked>()
  })

/** The list of a service, which must verify. */
export const listOf = (service: { readonly url: string; readonly apiKey: string }) =>
  Effect.map(sendTo(service, LIST), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text.slice(0, 300))
    assert.isUndefined(listFault(answer.text))
    return answer.json<SignedList>().revocation_list
  })

/** The list of the suite's service, which must verify. */
export const fetchList = Effect.map(send(LIST), (answer) => {
  assert.strictEqual(answer.status, 200, answer.text.slice(0, 300))
  assert.isUndefined(listFault(answer.text))
  return answer.json<SignedList>().revocation_list
})
