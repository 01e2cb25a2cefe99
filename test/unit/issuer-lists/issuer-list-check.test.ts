import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { formatAid } from "../../../src/aitp/aid.ts"
import { type RevocationEntry, signRevocationList } from "../../../src/aitp/revocation-list.ts"
import { checkList, type Verdict } from "../../../src/issuer-lists/list-check.ts"
import { MAX_ENTRIES } from "../../../src/issuer-lists/model.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { readVector } from "../../support/aitp/vectors.ts"

const NOW = 1_767_225_600
const agent = makeAgent()

const signed = (
  overrides: Readonly<Record<string, unknown>> = {},
  issuer: TestAgent = agent,
  form: "inner" | "wrapped" = "inner"
) =>
  Buffer.from(
    JSON.stringify(
      signRevocationList(
        {
          version: "aitp/0.2",
          issuer: issuer.aid,
          published_at: NOW,
          expires_at: NOW + 60,
          entries: [],
          ...overrides
        },
        issuer,
        form
      )
    )
  )

const check = (body: Uint8Array, options: { readonly aid?: string; readonly acceptWrapped?: boolean } = {}) =>
  checkList({ body, aid: agent.aid, now: NOW, acceptWrapped: false, ...options })

const kindOf = (verdict: Verdict) => (verdict._tag === "Sound" ? "sound" : verdict.kind)

const sound = (verdict: Verdict) => {
  if (verdict._tag !== "Sound") throw new Error(verdict.reason)
  return verdict
}

const uuid = (n: number) => `${n.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`

describe("a list of an issuer", () => {
  it("is the agent's in either spelling of its AID, and no other agent's", () => {
    const otherSpelling = formatAid("ed25519", agent.raw, "ed25519")
    assert.strictEqual(kindOf(check(signed(), { aid: otherSpelling })), "sound")
    assert.strictEqual(kindOf(check(signed({ issuer: otherSpelling }))), "sound")
    assert.strictEqual(kindOf(check(signed({}, makeAgent()))), "issuer")
    const p256 = makeAgent({ alg: "p256" })
    assert.strictEqual(kindOf(check(signed({}, p256), { aid: p256.aid })), "sound")
  })

  it("is judged by its times alone to the second", () => {
    assert.strictEqual(kindOf(check(signed({ expires_at: NOW + 1 }))), "sound")
    assert.strictEqual(kindOf(check(signed({ expires_at: NOW }))), "expired")
    assert.strictEqual(kindOf(check(signed({ published_at: NOW + 300 }))), "sound")
    assert.strictEqual(kindOf(check(signed({ published_at: NOW + 301 }))), "invalid")
    assert.strictEqual(kindOf(check(signed({ expires_at: 253_402_300_799 }))), "sound")
    assert.strictEqual(kindOf(check(signed({ expires_at: 253_402_300_800 }))), "invalid")
  })

  it("may be signed in the form of old SDKs only where that is allowed", () => {
    const wrapped = signed({}, agent, "wrapped")
    assert.strictEqual(kindOf(check(wrapped)), "signature")
    assert.strictEqual(sound(check(wrapped, { acceptWrapped: true })).form, "wrapped")
    assert.strictEqual(sound(check(signed(), { acceptWrapped: true })).form, "inner")
  })

  it("does not verify once a single byte of a value is another one", () => {
    const body = signed({ entries: [{ jti: uuid(1), revoked_at: NOW - 9, reason: "lost" }] })
    for (const [from, to] of [
      ["lost", "list"],
      [uuid(1), uuid(2)],
      [String(NOW - 9), String(NOW - 8)],
      [`"expires_at":${NOW + 60}`, `"expires_at":${NOW + 61}`]
    ] as const) {
      assert.strictEqual(kindOf(check(Buffer.from(body.toString().replace(from, to)))), "signature", from)
    }
  })

  it("is refused whole for what RFC-AITP-0008 does not know", () => {
    const text = signed().toString()
    for (const body of [
      text.replace('"entries":[]', '"entries":[{"jti":"x","revoked_at":1}]'),
      text.replace('"entries":[]', '"entries":{}'),
      text.replace('"version":"aitp/0.2"', '"version":"aitp/0.3"'),
      text.replace('"version"', '"more":1,"version"'),
      text.replace("{", '{"more":1,'),
      text.replace(/"signature":"[^"]*"/, '"signature":"x"'),
      `\uFEFF${text}`,
      "[]",
      ""
    ]) {
      assert.strictEqual(kindOf(check(Buffer.from(body))), "invalid", body.slice(0, 80))
    }
  })

  it("has at most 100,000 entries", () => {
    const entries = Array.from({ length: MAX_ENTRIES + 1 }, (_, n) => ({ jti: uuid(n), revoked_at: 1 }))
    assert.strictEqual(kindOf(check(signed({ entries }))), "invalid")
  })

  it("gives each id once, at its earliest time, whatever the order, case and repetition", () => {
    const jti = fc.integer({ min: 0, max: 5 }).chain((n) => fc.constantFrom(uuid(n), uuid(n).toUpperCase()))
    const entries = fc.array(fc.record({ jti, revoked_at: fc.integer({ min: 1, max: 9 }) }), {
      maxLength: 12
    })
    fc.assert(
      fc.property(
        entries.chain((given) =>
          fc.tuple(fc.constant(given), fc.shuffledSubarray(given, { minLength: given.length }))
        ),
        ([given, shuffled]: readonly [ReadonlyArray<RevocationEntry>, ReadonlyArray<RevocationEntry>]) => {
          const [left, right] = [
            sound(check(signed({ entries: given }))),
            sound(check(signed({ entries: shuffled })))
          ]
          assert.deepEqual(left.entriesSha256, right.entriesSha256)
          const expected = [...Map.groupBy(given, (entry) => entry.jti.toLowerCase())]
            .map(([jti, same]) => ({
              jti,
              revoked_at: Math.min(...same.map(({ revoked_at }) => revoked_at)),
              reason: null
            }))
            .toSorted((a, b) => (a.jti < b.jti ? -1 : 1))
          assert.deepEqual(
            left.chunks.flatMap((chunk): ReadonlyArray<unknown> => JSON.parse(chunk)),
            expected
          )
          assert.strictEqual(left.ids, `{${expected.map(({ jti }) => jti).join()}}`)
          assert.strictEqual(left.entries, expected.length)
        }
      )
    )
  })

  it("is cut into parts of a thousand entries, and keeps 500 characters of a reason", () => {
    const entries = Array.from({ length: 2001 }, (_, n) => ({ jti: uuid(n), revoked_at: 1 }))
    const list = sound(check(signed({ entries })))
    assert.deepEqual(
      list.chunks.map((chunk) => (JSON.parse(chunk) as ReadonlyArray<unknown>).length),
      [1000, 1000, 1]
    )
    const [chunk = ""] = sound(
      check(signed({ entries: [{ jti: uuid(1), revoked_at: 1, reason: `a\0${"😀".repeat(600)}` }] }))
    ).chunks
    assert.strictEqual(JSON.parse(chunk)[0].reason, `a\uFFFD${"😀".repeat(498)}`)
  })

  it("is known by its bytes", () => {
    const body = signed()
    assert.strictEqual(
      Buffer.from(sound(check(body)).sha256).toString("hex"),
      createHash("sha256").update(body).digest("hex")
    )
  })

  it("of the specification verifies, and in its superseded form only where that is allowed", () => {
    for (const [path, plain, lenient] of [
      ["known-answer/signed-examples/revocation/kat-keypair-001-snapshot.json", "sound", "sound"],
      ["superseded/kat-keypair-001-snapshot.wrapped-at-52582bb9.json", "signature", "sound"]
    ] as const) {
      const { revocation_list, signature } = readVector<{
        readonly revocation_list: { readonly issuer: string; readonly published_at: number }
        readonly signature: string
      }>(path)
      const given = {
        body: Buffer.from(JSON.stringify({ revocation_list, signature })),
        aid: revocation_list.issuer,
        now: revocation_list.published_at
      }
      assert.strictEqual(kindOf(checkList({ ...given, acceptWrapped: false })), plain, path)
      assert.strictEqual(kindOf(checkList({ ...given, acceptWrapped: true })), lenient, path)
    }
  })
})
