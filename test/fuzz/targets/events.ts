import { Result } from "effect"
import { parseUuid } from "../../../src/aitp/ids.ts"
import type { NewEvent } from "../../../src/events/model.ts"
import { normaliseBatch } from "../../../src/events/normalise.ts"
import { readReport } from "../../../src/events/report.ts"
import { mayNeedCleaning } from "../../../src/events/sanitise.ts"
import { findTokens } from "../../../src/events/verification.ts"
import * as JsonText from "../../../src/http/JsonText.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintDelegation, mintTct, mintVoucher } from "../../support/aitp/mint-tokens.ts"
import { survivingToken } from "../surviving-token.ts"
import { assertThat, bytesOf, inputOf, type Target } from "../target.ts"

const LIMITS = { maxEvents: 20, maxPayloadBytes: 2048 }
const RECEIVED_AT = 1_711_900_000_000
const MAX_DEPTH = 80

const [alice, bob] = [
  makeAgent({ seed: Buffer.alloc(32, 3) }),
  makeAgent({ seed: Buffer.alloc(32, 4), form: "p256" })
]
const jti = "0b9a4c6e-1b1f-4b5e-8f2a-0123456789ab"
const time = { iat: 1_711_900_000, exp: 1_711_903_600 }
const tct = mintTct(alice, bob, { ...time, jti }).token
const voucher = mintVoucher(alice, bob, { ...time, src_jti: jti }).token
const delegation = mintDelegation(alice, bob, alice, { exp: 1_711_900_600, voucher }).token

const read = (input: string) => {
  const parsed = JsonText.parse(bytesOf(input), MAX_DEPTH)
  return "refusal" in parsed ? undefined : parsed
}

const batchOf = (items: ReadonlyArray<unknown>, text: string, reporter = "key") =>
  normaliseBatch(items, {
    reporter,
    receivedAt: RECEIVED_AT,
    mayBeUnclean: mayNeedCleaning(text),
    newId: () => "00000000-0000-4000-8000-000000000000",
    tokens: findTokens(items)
  })

const checkEvent = (event: NewEvent): void => {
  const { payload } = event
  assertThat(parseUuid(event.id) === event.id, "the id is a lower-case UUID")
  assertThat(event.ts >= 0 && event.ts < 253_402_300_800_000, "the time is one that Postgres has")
  assertThat(typeof JSON.parse(payload) === "object", "the payload is an object or array")
  assertThat(Buffer.byteLength(payload) <= 2 * 65_536, "the payload is bounded")
  const { content: _, ...stored } = event
  const text = JSON.stringify(stored)
  assertThat(
    !/\\u0000|\\ud[89a-f]/.test(text.replaceAll("\\\\", "")),
    "nothing is stored that Postgres cannot hold"
  )
  assertThat(survivingToken(stored) === undefined, "no compact token is stored")
}

/** Reports from bytes to what is stored: normalisation, cleaning, and stand-ins for tokens. */
export const events: Target = {
  name: "events",
  seeds: [
    `[{"type":"tct.issued","ts":"2026-01-02T03:04:05.678Z","aidA":"${alice.aid}","payload":{"tct":{"token":"${tct}"}}}]`,
    `{"events":[{"type":"delegation.issued","ts":1700000000.25,"delegation":{"token":"${delegation}","claims":{}}}]}`,
    `[{"id":"run-7","type":"log","message":"Authorization: Bearer ${voucher}, and more","grants":["a","${tct}"]}]`,
    `[{"type":"handshake.complete","session_id":"s","initiator":"a","target":"b","playground":{"run_id":"r"}},7,null]`,
    `[{"type":"\\u0000\\ud800","payload":{"__proto__":{"a":1e400},"${tct}":["x.y.z"]}}]`,
    `[{"payload":${"[".repeat(66)}${"]".repeat(66)}}]`
  ].map(inputOf),
  dictionary: [
    tct,
    voucher,
    `Bearer ${tct}`,
    `.${tct}.`,
    "eyJ",
    "\\u0000",
    "\\udc00",
    '"id":"x",',
    '"ts":1e15,',
    '"payload":',
    '"claims":{}',
    '"token":',
    ",{}",
    "1e999"
  ],
  run: (input) => {
    const parsed = read(input)
    if (parsed === undefined) return "no JSON"
    const items = readReport(parsed.value, input.length, LIMITS)
    if (Result.isFailure(items)) return items.failure.code
    const batch = batchOf(items.success, parsed.text)
    for (const event of batch.events) checkEvent(event)
    const again = batchOf(items.success, parsed.text)
    assertThat(JSON.stringify(again) === JSON.stringify(batch), "a repeated report is the same report")
    const objects = items.success.filter(
      (item) => typeof item === "object" && item !== null && !Array.isArray(item)
    )
    assertThat(batch.events.length + batch.dropped.length === objects.length, "no item gets lost")
    const kinds = batch.events.map(
      ({ artifacts, contributions }) => `${artifacts !== null}${JSON.stringify(contributions).length > 100}`
    )
    return `${kinds.slice(0, 3).join()} ${batch.dropped[0]?.reason ?? ""} ${batch.sanitised > 0} ${batch.skipped[0] ?? ""}`
  }
}
