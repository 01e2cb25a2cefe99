import { assert, describe, it } from "@effect/vitest"
import { p256 } from "@noble/curves/nist.js"
import { Result } from "effect"
import * as fc from "fast-check"
import { spellingsOf } from "../../../src/aitp/aid.ts"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { isJsonObject, type JsonObject } from "../../../src/aitp/json.ts"
import {
  manifestBytesToSign,
  manifestDigest,
  signManifest,
  verifyManifest
} from "../../../src/aitp/manifest.ts"
import { readManifestEnvelope } from "../../../src/aitp/manifest-envelope.ts"
import type { EnrollmentProfile } from "../../../src/aitp/manifest-profile.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"

const now = 1711900100
const agent = makeAgent()

const parsed = (text: string): JsonObject => Result.getOrThrow(readManifestEnvelope(text)).manifest

const mint = (overrides: object = {}, by: TestAgent = agent) =>
  parsed(mintManifest(by, { published_at: now, ...overrides }).text)

/** Codes of a failure joined by a blank, `ok`, or `ok` with findings. */
const verdict = (wire: unknown, profile: EnrollmentProfile = "strict", at = now): string =>
  Result.match(verifyManifest(wire, { now: at, profile }), {
    onFailure: ({ message, protocolCode, verifyCode }) => {
      assert.isNotEmpty(message)
      assert.isBelow(message.length, 200)
      return `${protocolCode} ${verifyCode}`
    },
    onSuccess: ({ findings }) => ["ok", ...findings].join(" ")
  })

const invalid = "MANIFEST_INVALID malformed"

describe("verifyManifest", () => {
  it("accepts what an agent of any key type and spelling signs", () => {
    for (const form of ["untagged", "ed25519", "p256"] as const) {
      const by = makeAgent({ form })
      const verified = Result.getOrThrow(verifyManifest(mint({}, by), { now, profile: "strict" }))
      assert.strictEqual(verified.manifest.aid, by.aid)
      assert.deepStrictEqual(verified.forms, { proofOfPossession: by.alg, manifest: by.alg })
    }
  })

  it("reports the first failure in protocol order when several are present", () => {
    // Each step adds a defect that ranks before all those already there.
    const other = makeAgent()
    const stolen = { challenge: "AAAAAAAAAAAAAAAAAAAAAA", signature: `ed25519.${"A".repeat(86)}` }
    const wire = { ...mint(), signature: mint({}, other)["signature"] ?? "" }
    const expected: ReadonlyArray<readonly [string, JsonObject]> = [
      ["MANIFEST_SIGNATURE_INVALID signature_invalid", {}],
      ["MANIFEST_POP_FAILED pop_failed", { proof_of_possession: stolen }],
      ["MANIFEST_EXPIRED expired", { expires_at: now }],
      ["UNKNOWN_FIELD malformed", { surplus: 1 }],
      [invalid, { offered_capabilities: "none" }],
      ["MANIFEST_VERSION_UNKNOWN version_unknown", { version: "aitp/0.1" }]
    ]
    for (const [code, defect] of expected) {
      Object.assign(wire, defect)
      assert.strictEqual(verdict(wire), code)
    }
    assert.strictEqual(expected.length, 6)
  })

  it("treats every required member as required and every other as optional", () => {
    const required = new Set([
      "version",
      "aid",
      "identity_hint",
      "handshake_endpoint",
      "accepted_trust_anchors",
      "offered_capabilities",
      "proof_of_possession",
      "published_at",
      "expires_at",
      "signature"
    ])
    const complete = mint({
      display_name: "agent",
      required_peer_capabilities: [],
      accepted_identity_types: ["oidc"],
      accepted_signature_algorithms: [],
      extensions: { "com.example.x": { deep: [null] } }
    })
    assert.strictEqual(verdict(complete), "ok")
    assert.strictEqual(Object.keys(complete).length, 15)
    for (const name of Object.keys(complete)) {
      const { [name]: _, ...rest } = complete
      const code = verdict(rest)
      if (!required.has(name)) assert.strictEqual(code, "MANIFEST_SIGNATURE_INVALID signature_invalid", name)
      else assert.match(code, /^MANIFEST_INVALID /, name)
    }
  })

  it("refuses validly signed structural offences", () => {
    const offences: ReadonlyArray<readonly [object, string]> = [
      [{ version: 2 }, invalid],
      [{ version: undefined }, invalid],
      [{ aid: "aid:pubkey:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }, invalid],
      [{ aid: `${agent.aid}=` }, invalid],
      [{ handshake_endpoint: "https://" }, invalid],
      [{ handshake_endpoint: "HTTPS://agent.example.com/" }, invalid],
      [{ handshake_endpoint: "https://agent.example.com/a b" }, invalid],
      [{ handshake_endpoint: "https://ägent.example.com/" }, invalid],
      [{ handshake_endpoint: "ftp://agent.example.com/" }, invalid],
      [{ accepted_trust_anchors: ["not a uri"] }, invalid],
      [{ accepted_trust_anchors: ["https://a.example", "https://a.example"] }, invalid],
      [{ offered_capabilities: ["a b"] }, invalid],
      [{ offered_capabilities: ["a\u00a0b"] }, invalid],
      [{ offered_capabilities: [""] }, invalid],
      [{ offered_capabilities: ["a", "a"] }, invalid],
      [{ offered_capabilities: { 0: "a", length: 1 } }, invalid],
      [{ accepted_identity_types: ["did"] }, invalid],
      [{ accepted_signature_algorithms: ["rsa"] }, invalid],
      [{ required_peer_capabilities: null }, invalid],
      [{ extensions: null }, invalid],
      [{ extensions: [] }, invalid],
      [{ display_name: 7 }, invalid],
      [{ published_at: 1.5, expires_at: now + 600 }, invalid],
      [{ published_at: -1, expires_at: now + 600 }, invalid],
      [{ published_at: "1711900000" }, invalid],
      [{ expires_at: 2 ** 53 }, invalid],
      [{ expires_at: String(now + 600) }, invalid],
      [{ proof_of_possession: { challenge: "AAAA", signature: "A".repeat(86) } }, invalid],
      [{ proof_of_possession: { challenge: "AAAAAAAAAAAAAAAAAAAAAB", signature: "A".repeat(86) } }, invalid],
      [{ identity_hint: {} }, "MANIFEST_INVALID identity_hint_malformed"],
      [{ identity_hint: { type: "did", subject: "s" } }, "MANIFEST_INVALID identity_hint_malformed"],
      [{ identity_hint: { type: "oidc", subject: "s" } }, "MANIFEST_INVALID identity_hint_malformed"],
      [{ identity_hint: { type: "pinned_key", subject: "s" } }, "MANIFEST_INVALID identity_hint_malformed"],
      [
        { identity_hint: { type: "oidc", subject: "", issuer: "https://i.example" } },
        "MANIFEST_INVALID identity_hint_malformed"
      ],
      [{ surplus: null }, "UNKNOWN_FIELD malformed"],
      [{ Version: "aitp/0.2" }, "UNKNOWN_FIELD malformed"],
      [
        { identity_hint: { type: "oidc", subject: "s", issuer: "https://i.example", proof: "x" } },
        "UNKNOWN_FIELD malformed"
      ],
      [JSON.parse('{"__proto__":{"display_name":"x"}}'), "UNKNOWN_FIELD malformed"]
    ]
    for (const [offence, code] of offences) {
      for (const profile of ["strict", "compat"] as const) {
        assert.strictEqual(verdict(mint(offence), profile), code, `${profile} ${JSON.stringify(offence)}`)
      }
    }
  })

  it("refuses anything that is no object", () => {
    for (const wire of [undefined, null, [], "", 0, true, () => 0]) assert.strictEqual(verdict(wire), invalid)
  })

  it("expires at the very second of expires_at", () => {
    const wire = mint({ expires_at: now + 10 })
    assert.strictEqual(verdict(wire, "strict", now + 9), "ok")
    assert.strictEqual(verdict(wire, "strict", now + 10), "MANIFEST_EXPIRED expired")
  })

  it("binds signature and proof to the AID's key, in either spelling", () => {
    const [, tagged] = spellingsOf(agent.aid)
    assert.strictEqual(verdict(mint({ aid: tagged })), "ok")
    assert.strictEqual(
      verdict({ ...mint(), aid: tagged ?? "" }),
      "MANIFEST_SIGNATURE_INVALID signature_invalid"
    )
    assert.strictEqual(verdict(mint({ aid: makeAgent().aid })), "MANIFEST_POP_FAILED pop_failed")
  })

  it("notices a change to any member, also inside extensions", () => {
    const wire = mint({ display_name: "a", required_peer_capabilities: [], extensions: { x: { y: [1] } } })
    const changes: ReadonlyArray<JsonObject> = [
      { display_name: "b" },
      { published_at: now - 1 },
      { expires_at: now + 86_401 },
      { offered_capabilities: [] },
      { accepted_trust_anchors: ["https://idp.example.com/"] },
      { handshake_endpoint: "https://agent.example.com/aitp/handshake/" },
      { extensions: { x: { y: [1, 0] } } },
      { extensions: {} },
      { accepted_identity_types: [] }
    ]
    for (const change of changes) {
      assert.strictEqual(verdict({ ...wire, ...change }), "MANIFEST_SIGNATURE_INVALID signature_invalid")
    }
  })

  it("accepts the P-256 single-hash form only when asked to, and says so", () => {
    const seed = sha256("single hash")
    const doubleHash = makeAgent({ alg: "p256", seed })
    const sign = (digest: Uint8Array) => p256.sign(digest, seed, { prehash: false, lowS: true })
    const wire = mint({}, { ...doubleHash, sign })
    assert.strictEqual(verdict(wire), "MANIFEST_POP_FAILED pop_failed")
    const verified = verifyManifest(wire, { now, profile: "strict", acceptP256SingleHash: true })
    assert.deepStrictEqual(Result.getOrThrow(verified).forms, {
      proofOfPossession: "p256_single_hash",
      manifest: "p256_single_hash"
    })
    assert.strictEqual(verdict(mint({}, doubleHash)), "ok")
  })

  it("never throws and never accepts a mutated Manifest", () => {
    const wire = mint({ extensions: { a: 1 } })
    const names = fc.constantFrom(...Object.keys(wire), "surplus", "__proto__", "constructor")
    let refusals = 0
    fc.assert(
      fc.property(
        names,
        fc.anything({ maxDepth: 3, withNullPrototype: true, withBigInt: true }),
        (name, value) => {
          const mutated = Object.fromEntries([
            ...Object.entries(wire).filter(([each]) => each !== name),
            [name, value]
          ])
          const result = verifyManifest(mutated, { now, profile: "compat" })
          if (Result.isFailure(result)) refusals++
          else assert.deepStrictEqual(value, wire[name])
        }
      ),
      { numRuns: 500 }
    )
    assert.isAbove(refusals, 400)
  })

  it("does not overflow on deep values from a reader without a depth limit", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`)
    for (const name of ["extensions", "identity_hint", "offered_capabilities", "surplus"]) {
      assert.notMatch(verdict({ ...mint(), [name]: name === "extensions" ? { deep } : deep }), /^ok/, name)
    }
  })
})

describe("profiles", () => {
  const pinned = { type: "pinned_key", subject: "s", public_key: encodeBase64url(agent.raw) }
  const oidc = { type: "oidc", subject: "s", issuer: "https://i.example" }
  const rows: ReadonlyArray<readonly [string, object, string]> = [
    [
      "no anchors, pinned key",
      { accepted_trust_anchors: [], identity_hint: pinned },
      "ok EMPTY_TRUST_ANCHORS"
    ],
    ["no anchors, oidc", { accepted_trust_anchors: [], identity_hint: oidc }, invalid],
    ["http to a private host", { handshake_endpoint: "http://agent-host:8101/x" }, "ok ENDPOINT_NOT_HTTPS"],
    ["http to a public host", { handshake_endpoint: "http://agent.example.com/x" }, invalid],
    ["129 characters", { display_name: "x".repeat(129) }, "ok DISPLAY_NAME_LONG"],
    ["256 astral characters", { display_name: "😀".repeat(256) }, "ok DISPLAY_NAME_LONG"],
    ["257 characters", { display_name: "x".repeat(257) }, invalid],
    [
      "all three",
      { accepted_trust_anchors: [], handshake_endpoint: "http://[::1]:1/", display_name: "x".repeat(200) },
      "ok DISPLAY_NAME_LONG ENDPOINT_NOT_HTTPS EMPTY_TRUST_ANCHORS"
    ]
  ]

  for (const [name, overrides, compat] of rows) {
    it(`${name}: compat ${compat}, strict refuses`, () => {
      assert.strictEqual(verdict(mint(overrides), "compat"), compat)
      assert.strictEqual(verdict(mint(overrides), "strict"), invalid)
    })
  }

  it("count characters, not UTF-16 units", () => {
    assert.strictEqual(verdict(mint({ display_name: "😀".repeat(128) })), "ok")
  })

  it("leave the order of failures alone", () => {
    assert.strictEqual(
      verdict(mint({ accepted_trust_anchors: [], surplus: 1 }), "compat"),
      "UNKNOWN_FIELD malformed"
    )
    assert.strictEqual(verdict(mint({ accepted_trust_anchors: [], surplus: 1 }), "strict"), invalid)
  })
})

describe("digest and signing input", () => {
  it("depend on the content and not on how it was written", () => {
    const { envelope, text } = mintManifest(agent, { published_at: now, extensions: { b: 1, a: 2 } })
    const reordered = JSON.stringify({
      manifest: Object.fromEntries(Object.entries(envelope.manifest).toReversed())
    })
    assert.notStrictEqual(reordered, text)
    assert.deepStrictEqual(manifestDigest(parsed(reordered)), manifestDigest(parsed(text)))
    assert.strictEqual(manifestBytesToSign(parsed(reordered)), manifestBytesToSign(parsed(text)))
    assert.strictEqual(manifestDigest(parsed(text)).length, 32)
    assert.notDeepEqual(manifestDigest(mint({ display_name: "x" })), manifestDigest(mint()))
  })

  it("signs deterministically and takes challenges of 16 bytes only", () => {
    assert.strictEqual(
      mintManifest(agent, { published_at: now }).text,
      mintManifest(agent, { published_at: now }).text
    )
    const { manifest } = mintManifest(agent)
    for (const length of [0, 15, 17]) {
      assert.throws(() => signManifest(manifest, new Uint8Array(length), agent), RangeError)
    }
  })
})

const offence = (body: string | Uint8Array) =>
  Result.getOrThrow(Result.flip(readManifestEnvelope(body))).offence

describe("readManifestEnvelope", () => {
  it("takes the manifest out and reports siblings", () => {
    const { manifest, text } = mintManifest(agent)
    assert.deepStrictEqual(Result.getOrThrow(readManifestEnvelope(Buffer.from(text))), {
      manifest: parsed(text),
      findings: []
    })
    const surplus = readManifestEnvelope(JSON.stringify({ signature: "x", manifest }))
    assert.deepStrictEqual(Result.getOrThrow(surplus).findings, ["EXTRA_ENVELOPE_MEMBERS"])
  })

  it("tells unreadable bodies from readable ones without a manifest", () => {
    const rows: ReadonlyArray<readonly [string, string]> = [
      ["", "syntax"],
      ["null", "not_an_object"],
      ["[]", "not_an_object"],
      ['"x"', "not_an_object"],
      ["{}", "no_manifest"],
      ['{"manifest":null}', "no_manifest"],
      ['{"manifest":[]}', "no_manifest"],
      ['{"manifest":"{}"}', "no_manifest"],
      ['{"__proto__":{"manifest":{}}}', "no_manifest"],
      ['{"manifest":{},"manifest":{}}', "duplicate_name"],
      ['{"manifest":{"aid":1,"\\u0061id":2}}', "duplicate_name"],
      ["\uFEFF{}", "bom"],
      [`{"manifest":{"extensions":${"[".repeat(40)}${"]".repeat(40)}}}`, "depth"]
    ]
    for (const [body, expected] of rows) assert.strictEqual(offence(body), expected, body)
    assert.strictEqual(offence(Uint8Array.of(0x7b, 0xff, 0x7d)), "utf8")
  })

  it("returns an object for every accepted text", () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), (name, value) => {
        const read = readManifestEnvelope(JSON.stringify({ [name]: value, manifest: value }), {
          maxDepth: 100
        })
        if (Result.isSuccess(read)) assert.isTrue(isJsonObject(read.success.manifest))
        else assert.isFalse(isJsonObject(value))
      })
    )
  })
})
