import { assert, describe, it } from "@effect/vitest"
import { Point } from "@noble/ed25519"
import { Schema } from "effect"
import * as fc from "fast-check"
import {
  Aid,
  canonicalKey,
  formatAid,
  formOfAid,
  isAid,
  keyOfAid,
  parseAid,
  sameKey,
  spellingsOf
} from "../../../src/aitp/aid.ts"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { makeAgent } from "../../support/aitp/agent.ts"

const tag = (aid: string) => aid.replace("aid:pubkey:", "aid:pubkey:ed25519:")

describe("AID", () => {
  it("formats and parses every form", () => {
    const seed = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .filter((bytes) => bytes.some((byte) => byte > 0))
    fc.assert(
      fc.property(seed, fc.constantFrom("untagged", "ed25519", "p256"), (bytes, form) => {
        bytes[0] = 1 // stays below the order of P-256
        const agent = makeAgent({ form, seed: bytes })
        assert.isTrue(isAid(agent.aid))
        assert.strictEqual(formOfAid(agent.aid), form)
        assert.deepStrictEqual([...canonicalKey(agent.aid).raw], [...agent.raw])
        assert.strictEqual(formatAid(agent.alg, agent.raw, form), agent.aid)
      }),
      { numRuns: 30 }
    )
  })

  it("takes both Ed25519 spellings of a key for one principal", () => {
    const { aid } = makeAgent()
    const tagged = parseAid(tag(aid))
    assert.isDefined(tagged)
    if (tagged === undefined) return
    assert.isTrue(sameKey(aid, tagged))
    assert.deepStrictEqual(canonicalKey(aid), canonicalKey(tagged))
    assert.deepStrictEqual(spellingsOf(aid), [aid, tagged])
    assert.deepStrictEqual(spellingsOf(tagged), [tagged, aid])
    assert.strictEqual(keyOfAid(aid).thumbprint, keyOfAid(tagged).thumbprint)
  })

  it("keeps other keys apart, whatever they look like", () => {
    const a = makeAgent()
    const b = makeAgent()
    const p = makeAgent({ alg: "p256" })
    assert.isFalse(sameKey(a.aid, b.aid))
    assert.isFalse(sameKey(a.aid, p.aid))
    assert.deepStrictEqual(spellingsOf(p.aid), [p.aid])
    // The two points with one x: neighbours in text, different keys.
    const mirrored = Uint8Array.from(p.raw)
    mirrored[0] = 5 - (mirrored[0] ?? 0)
    assert.isFalse(sameKey(p.aid, formatAid("p256", mirrored)))
    assert.isFalse(sameKey("garbage", "garbage"))
  })

  it("refuses look-alikes", () => {
    const { aid } = makeAgent()
    const p = makeAgent({ alg: "p256" })
    const lookAlikes = [
      "",
      ` ${aid}`,
      `${aid} `,
      `${aid}\n`,
      `${aid}=`,
      `${aid}#a`,
      `${aid}\0`,
      aid.slice(0, -1),
      aid.replace("aid:", "AID:"),
      aid.replace("pubkey", "pubkеy"), // Cyrillic
      aid.replace("pubkey:", "pubkey::"),
      tag(tag(aid)),
      tag(aid).replace("ed25519", "Ed25519"),
      aid.replace("pubkey:", "pubkey:p256:"),
      p.aid.replace("p256:", ""),
      p.aid.replace("p256:", "ed25519:"),
      p.aid.replace("p256:", "P256:"),
      ...[0, 1, 4, 5].map(
        (prefix) => `aid:pubkey:p256:${encodeBase64url(Uint8Array.of(prefix, ...p.raw.slice(1)))}`
      )
    ]
    for (const text of lookAlikes) assert.isFalse(isAid(text), JSON.stringify(text))
    assert.isTrue(Schema.is(Aid)(aid))
    assert.isFalse(Schema.is(Aid)(`${aid} `))
  })

  it("refuses Ed25519 keys off the curve, which runtimes import without a word", () => {
    const off = Array.from({ length: 64 }, (_, i) =>
      Uint8Array.of(i + 2, ...Array<number>(31).fill(0))
    ).filter((raw) => {
      try {
        Point.fromBytes(raw)
        return false
      } catch {
        return true
      }
    })
    assert.isAbove(off.length, 10)
    for (const raw of off) assert.isFalse(isAid(`aid:pubkey:${encodeBase64url(raw)}`))
  })

  it("forgets old keys without changing its answers", () => {
    const first = makeAgent()
    assert.isTrue(isAid(first.aid))
    // More keys than the memo holds; multiples of the base point are cheap and never of small order.
    let point = Point.BASE
    for (let i = 0; i < 2200; i++) {
      point = point.add(Point.BASE)
      if (!isAid(`aid:pubkey:${encodeBase64url(point.toBytes())}`)) assert.fail("a valid key was refused")
    }
    assert.isTrue(sameKey(first.aid, tag(first.aid)))
  })

  it("hands out copies of the key", () => {
    const { aid, raw } = makeAgent()
    canonicalKey(aid).raw.fill(0)
    assert.deepStrictEqual([...canonicalKey(aid).raw], [...raw])
  })

  it("refuses to format a key that is none", () => {
    assert.throws(() => formatAid("ed25519", new Uint8Array(32)), TypeError)
    assert.throws(() => formatAid("ed25519", new Uint8Array(31)), TypeError)
    assert.throws(() => formatAid("p256", makeAgent().raw), TypeError)
    assert.throws(() => formatAid("ed25519", makeAgent({ alg: "p256" }).raw, "p256"), TypeError)
  })
})
