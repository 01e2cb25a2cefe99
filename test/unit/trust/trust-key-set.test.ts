import { generateKeyPairSync } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { p256 as p256Curve } from "@noble/curves/nist.js"
import { Result } from "effect"
import { readKeySet } from "../../../src/trust/key-set.ts"
import { makeAgent } from "../../support/aitp/agent.ts"

const read = (set: unknown) => readKeySet(Buffer.from(JSON.stringify(set)))
const readText = (text: string | Buffer) => readKeySet(Buffer.from(text))

/** Why a set is refused; undefined when it is not. */
const reason = (result: ReturnType<typeof readKeySet>) =>
  Result.isFailure(result) ? result.failure.message : undefined

const ed25519 = generateKeyPairSync("ed25519")
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" })
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })
const publicOf = ({ publicKey }: { readonly publicKey: typeof ed25519.publicKey }) =>
  publicKey.export({ format: "jwk" })

const sound = [publicOf(ed25519), publicOf(p256), publicOf(rsa)]

describe("key sets", () => {
  it("are kept as received", () => {
    const text = ` {"keys" : [${JSON.stringify(sound[0])}], "more":[1, 2.50] }\n`
    assert.strictEqual(Result.getOrThrow(readText(text)).text, text)
  })

  it("may be empty, have keys of kinds unknown to us and members we do not know", () => {
    for (const set of [{ keys: [] }, { keys: sound, extra: 1 }, { keys: [{ kty: "new", x: 1 }] }]) {
      assert.isUndefined(reason(read(set)))
    }
  })

  it("are refused when they are none", () => {
    const cases: ReadonlyArray<readonly [string | Buffer, RegExp]> = [
      ["", /JSON/],
      ["<html></html>", /JSON/],
      ["null", /not a JSON object/],
      ["[]", /not a JSON object/],
      ["{}", /keys is not an array/],
      ['{"keys":null}', /keys is not an array/],
      ['{"keys":{}}', /keys is not an array/],
      ['{"keys":[null]}', /a key is not an object/],
      ['{"keys":["x"]}', /a key is not an object/],
      ['{"keys":[[]]}', /a key is not an object/],
      ['{"keys":[{}]}', /a key has no kty/],
      ['{"keys":[{"kty":1}]}', /a key has no kty/],
      ['{"keys":[],"keys":[]}', /duplicate/],
      [Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]), /byte order mark/],
      [Buffer.from([0x7b, 0xff, 0x7d]), /UTF-8/]
    ]
    for (const [text, wanted] of cases) assert.match(String(reason(readText(text))), wanted, String(text))
  })

  it("are refused whole when one key is private or symmetric", () => {
    for (const pair of [ed25519, p256, rsa]) {
      const key = pair.privateKey.export({ format: "jwk" })
      assert.match(String(reason(read({ keys: [...sound, key] }))), /not public/)
    }
    assert.match(String(reason(read({ keys: [{ kty: "oct", k: "AAAA" }] }))), /not public/)
    assert.match(
      String(reason(read({ keys: [{ kty: "AKP", alg: "ML-DSA-44", priv: "AAAA" }] }))),
      /not public/
    )
    assert.match(String(reason(read({ keys: [{ ...sound[0], d: null }] }))), /not public/)
  })
})

describe("keys that agents use", () => {
  const agentKeys = (...keys: ReadonlyArray<unknown>) => Result.getOrThrow(read({ keys })).agentKeys

  it("are spelled as in AIDs", () => {
    const encode = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url")
    for (let made = 0; made < 4; made += 1) {
      const ed = makeAgent()
      assert.deepEqual(agentKeys({ kty: "OKP", crv: "Ed25519", x: encode(ed.raw) }), [
        ed.aid.slice("aid:pubkey:".length)
      ])
      const ec = makeAgent({ alg: "p256" })
      const point = p256Curve.Point.fromBytes(ec.raw).toBytes(false)
      const [x, y] = [encode(point.subarray(1, 33)), encode(point.subarray(33))]
      assert.deepEqual(agentKeys({ kty: "EC", crv: "P-256", x, y }), [
        ec.aid.slice("aid:pubkey:p256:".length)
      ])
    }
  })

  it("are those for signatures on curves of ours, each once", () => {
    const ed = publicOf(ed25519)
    const ec = publicOf(p256)
    const y = Buffer.from(String(ec.y), "base64url")
    y[0] = (y[0] ?? 0) ^ 1
    const left = [
      publicOf(rsa),
      { ...ed, use: "enc" },
      { ...ed, key_ops: ["encrypt"] },
      { ...ed, key_ops: "verify" },
      { ...ed, crv: "X25519" },
      { ...ed, kty: "EC" },
      { ...ed, x: `${ed.x}=` },
      { ...ed, x: 1 },
      { kty: "OKP", crv: "Ed25519", x: "A".repeat(43) },
      { kty: "OKP", crv: "Ed25519" },
      { ...ec, y: y.toString("base64url") },
      { ...ec, y: undefined },
      { ...ec, y: "" },
      { ...ec, crv: "P-384" }
    ]
    assert.deepEqual(agentKeys(...left), [])
    const taken = agentKeys(...left, ed, { ...ed, use: "sig", key_ops: ["verify"] }, ec)
    assert.deepEqual(taken[0], ed.x)
    assert.lengthOf(taken, 2)
  })
})
