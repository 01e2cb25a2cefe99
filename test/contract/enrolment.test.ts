import { createHash, createHmac, randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { manifestDigest } from "../../src/aitp/manifest.ts"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import {
  agentPath,
  type AgentRow,
  enroll,
  join,
  joined,
  newAgent,
  nowSecs,
  register,
  tokenFor
} from "../support/service/agents.ts"
import { outcome, outcomeOf, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { anyService, Control, ENROLLMENT_SECRET, isRemote, ownService } from "../support/service/Service.ts"

const invalid = (verifyCode: string, protocolCode: string) => ({ verifyCode, protocolCode })
const malformed = invalid("malformed", "MANIFEST_INVALID")

interface Offence {
  readonly what: string
  /** Members over those of a sound manifest, all validly signed. */
  readonly given: Readonly<Record<string, unknown>>
  readonly extras: Readonly<Record<string, string>>
}

const now = nowSecs()

const offences: ReadonlyArray<Offence> = [
  {
    what: "another version",
    given: { version: "aitp/0.3" },
    extras: invalid("version_unknown", "MANIFEST_VERSION_UNKNOWN")
  },
  { what: "no version", given: { version: undefined }, extras: malformed },
  { what: "no aid", given: { aid: undefined }, extras: malformed },
  { what: "an aid that is none", given: { aid: "aid:pubkey:short" }, extras: malformed },
  { what: "an upper-case aid", given: { aid: `AID:PUBKEY:${"A".repeat(43)}` }, extras: malformed },
  {
    what: "a hint without key",
    given: { identity_hint: { type: "pinned_key", subject: "x" } },
    extras: invalid("identity_hint_malformed", "MANIFEST_INVALID")
  },
  {
    what: "a hint of another type",
    given: { identity_hint: { type: "x509", subject: "x" } },
    extras: invalid("identity_hint_malformed", "MANIFEST_INVALID")
  },
  { what: "a relative endpoint", given: { handshake_endpoint: "/aitp" }, extras: malformed },
  {
    what: "an http endpoint on a public host",
    given: { handshake_endpoint: "http://agent.example.com/aitp" },
    extras: malformed
  },
  {
    what: "an anchor twice",
    given: { accepted_trust_anchors: ["https://a.example", "https://a.example"] },
    extras: malformed
  },
  {
    what: "an empty anchor list with an oidc hint",
    given: {
      identity_hint: { type: "oidc", subject: "x", issuer: "https://idp.example.com" },
      accepted_trust_anchors: []
    },
    extras: malformed
  },
  { what: "a capability with a space", given: { offered_capabilities: ["a b"] }, extras: malformed },
  { what: "a capability twice", given: { offered_capabilities: ["a", "a"] }, extras: malformed },
  { what: "capabilities that are no list", given: { offered_capabilities: "a" }, extras: malformed },
  { what: "a display name of 257 characters", given: { display_name: "x".repeat(257) }, extras: malformed },
  { what: "a display name that is no text", given: { display_name: 1 }, extras: malformed },
  { what: "an unknown member", given: { nickname: "x" }, extras: invalid("malformed", "UNKNOWN_FIELD") },
  { what: "a fractional time", given: { published_at: now + 0.5 }, extras: malformed },
  { what: "a negative time", given: { published_at: -1 }, extras: malformed },
  {
    what: "an expiry that has passed",
    given: { published_at: now - 100, expires_at: now - 1 },
    extras: invalid("expired", "MANIFEST_EXPIRED")
  },
  {
    what: "less than 300 s to live",
    given: { expires_at: now + 200 },
    extras: { protocolCode: "MANIFEST_TTL_TOO_SHORT" }
  },
  {
    what: "a publication more than 300 s ahead",
    given: { published_at: now + 900 },
    extras: { protocolCode: "MANIFEST_INVALID" }
  },
  {
    what: "an expiry before the publication",
    given: { published_at: now + 290, expires_at: now + 290 },
    extras: { protocolCode: "MANIFEST_INVALID" }
  },
  { what: "extensions that are a list", given: { extensions: [] }, extras: malformed },
  {
    what: "a challenge of 21 characters",
    given: { proof_of_possession: { challenge: "x".repeat(21), signature: "x".repeat(86) } },
    extras: malformed
  },
  {
    what: "a proof of another key",
    given: { proof_of_possession: mintManifest(newAgent()).manifest.proof_of_possession },
    extras: invalid("pop_failed", "MANIFEST_POP_FAILED")
  }
]

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("enrolment", (it) => {
  it.effect("answers exactly the promised members for a sound manifest", () =>
    Effect.gen(function* () {
      const minted = mintManifest(newAgent())
      const answer = yield* enroll(minted.text)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "application/json")
      const { exp, jti, token, ...rest } = answer.json()
      assert.deepEqual(rest, {
        expiresIn: 300,
        aid: minted.manifest.aid,
        agentAid: minted.manifest.aid,
        manifestSha256: Buffer.from(manifestDigest(minted.manifest)).toString("hex"),
        conformanceFindings: []
      })
      assert.closeTo(Number(exp), nowSecs() + 300, 3)
      assert.match(String(jti), /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      const [payload = "", mac = "", ...more] = String(token).split(".")
      assert.deepEqual(more, [])
      const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Record<string, unknown>
      assert.hasAllKeys(claims, ["sub", "scope", "iat", "exp", "jti", "mh"])
      assert.deepInclude(claims, { sub: minted.manifest.aid, scope: "register", jti, exp })
      assert.strictEqual(claims["mh"], Buffer.from(manifestDigest(minted.manifest)).toString("base64url"))
      assert.match(mac, /^[A-Za-z0-9_-]{43}$/)
    })
  )

  it.effect("takes both Ed25519 spellings and P-256", () =>
    Effect.gen(function* () {
      for (const form of ["untagged", "ed25519", "p256"] as const) {
        const agent = newAgent(form)
        const { aid } = yield* join(mintManifest(agent))
        assert.strictEqual(aid, agent.aid)
      }
    })
  )

  for (const { extras, given, what } of offences) {
    it.effect(`refuses ${what}, naming the failure in both vocabularies`, () =>
      Effect.gen(function* () {
        assertRefused(yield* enroll(mintManifest(newAgent(), given).text), 400, "MANIFEST_INVALID", extras)
      })
    )
  }

  it.effect("refuses a changed member and a foreign signature, and takes the manifest as it was", () =>
    Effect.gen(function* () {
      const { manifest, text } = mintManifest(newAgent())
      const failed = invalid("signature_invalid", "MANIFEST_SIGNATURE_INVALID")
      assertRefused(
        yield* enroll({ manifest: { ...manifest, display_name: "Eve" } }),
        400,
        "MANIFEST_INVALID",
        failed
      )
      const { signature } = mintManifest(newAgent()).manifest
      assertRefused(yield* enroll({ manifest: { ...manifest, signature } }), 400, "MANIFEST_INVALID", failed)
      assert.strictEqual(outcomeOf(yield* enroll(text)), "200 ok")
    })
  )

  it.effect("names the first failure in protocol order when there are several", () =>
    Effect.gen(function* () {
      const proof = mintManifest(newAgent()).manifest.proof_of_possession
      const all = {
        version: "aitp/9",
        nickname: "x",
        published_at: now - 100,
        expires_at: now - 1,
        proof_of_possession: proof
      }
      const order: ReadonlyArray<readonly [keyof typeof all | "", string]> = [
        ["version", "MANIFEST_VERSION_UNKNOWN"],
        ["nickname", "UNKNOWN_FIELD"],
        ["expires_at", "MANIFEST_EXPIRED"],
        ["proof_of_possession", "MANIFEST_POP_FAILED"],
        ["", "MANIFEST_SIGNATURE_INVALID"]
      ]
      let given: Record<string, unknown> = { ...all }
      for (const [member, protocolCode] of order) {
        const { manifest } = mintManifest(newAgent(), given)
        const answer = yield* enroll({ manifest: { ...manifest, signature: "A".repeat(86) } })
        assert.deepInclude(answer.json<object>(), { code: "MANIFEST_INVALID", protocolCode })
        given = Object.fromEntries(Object.entries(given).filter(([name]) => name !== member))
        if (member === "expires_at") delete given["published_at"]
      }
    })
  )

  it.effect("answers BODY_INVALID for what is no JSON and MANIFEST_INVALID for JSON without a manifest", () =>
    Effect.gen(function* () {
      for (const body of ["", "{", "null", "\ufeff{}", Buffer.from([0x22, 0xff, 0x22])]) {
        assert.strictEqual(outcomeOf(yield* enroll(body)), "400 BODY_INVALID", JSON.stringify(body))
      }
      const { text } = mintManifest(newAgent())
      const twice = text.replace('"version"', '"version":"aitp/0.2","version"')
      for (const body of [
        "{}",
        "[]",
        "1",
        '"x"',
        '{"manifest":null}',
        '{"manifest":[]}',
        '{"manifest":"x"}',
        twice
      ]) {
        assert.strictEqual(outcomeOf(yield* enroll(body)), "400 MANIFEST_INVALID", body)
      }
    })
  )

  it.effect("ignores siblings of the manifest and the content type", () =>
    Effect.gen(function* () {
      const { manifest } = mintManifest(newAgent())
      const body = { manifest, signature: "x", proof_of_possession: { challenge: "x" } }
      const answer = yield* send("/api/registry/enroll", { body, headers: { "content-type": "text/plain" } })
      assert.strictEqual(answer.status, 200)
      assert.deepInclude(answer.json<object>(), { aid: manifest.aid })
    })
  )

  it.effect("refuses a body above 65536 bytes and judges one of exactly that size", () =>
    Effect.gen(function* () {
      const { text } = mintManifest(newAgent())
      const padded = (size: number) => text + " ".repeat(size - text.length)
      for (const chunked of [false, true]) {
        const path = "/api/registry/enroll"
        assert.strictEqual(yield* outcome(path, { body: padded(65_537), chunked }), "413 PAYLOAD_TOO_LARGE")
        assert.strictEqual(yield* outcome(path, { body: padded(65_536), chunked }), "200 ok")
      }
    })
  )

  for (const [finding, given] of [
    ["EMPTY_TRUST_ANCHORS", { accepted_trust_anchors: [] }],
    ["ENDPOINT_NOT_HTTPS", { handshake_endpoint: "http://localhost:5001/aitp" }],
    ["ENDPOINT_NOT_HTTPS", { handshake_endpoint: "http://10.1.2.3/aitp" }],
    ["ENDPOINT_NOT_HTTPS", { handshake_endpoint: "http://agent.internal/aitp" }],
    ["DISPLAY_NAME_LONG", { display_name: "x".repeat(129) }]
  ] as const) {
    it.effect(`tolerates and records ${finding} of ${JSON.stringify(given).slice(0, 60)}`, () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent(), given)
        assert.deepEqual((yield* enroll(minted.text)).json()["conformanceFindings"], [finding])
        yield* join(minted)
        const record = (yield* send(agentPath(minted.manifest.aid))).json<AgentRow>()
        assert.deepEqual(record.conformanceFindings, [finding])
      })
    )
  }
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("registration", (it) => {
  it.effect("answers 201 with exactly the promised members and makes the agent visible", () =>
    Effect.gen(function* () {
      const agent = newAgent()
      const minted = mintManifest(agent, { display_name: "Ada" })
      const answer = yield* register(minted.text, yield* tokenFor(minted))
      assert.strictEqual(answer.status, 201)
      const { lastEnrolledAt, registeredAt, ...rest } = answer.json()
      assert.deepEqual(rest, {
        aid: agent.aid,
        displayName: "Ada",
        namespace: "default",
        manifestUrl: agentPath(agent.aid, "/manifest"),
        conformanceFindings: []
      })
      for (const instant of [registeredAt, lastEnrolledAt]) {
        assert.match(String(instant), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      }
      assert.strictEqual((yield* send(agentPath(agent.aid))).status, 200)
    })
  )

  it.effect("takes the token bare or after any spelling of Bearer", () =>
    Effect.gen(function* () {
      for (const scheme of ["", "Bearer ", "bearer ", "BEARER   "]) {
        const minted = mintManifest(newAgent())
        const authorization = `${scheme}${yield* tokenFor(minted)}`
        assert.strictEqual(
          yield* outcome("/api/registry/agents", { body: minted.text, headers: { authorization } }),
          "201 ok",
          scheme
        )
      }
    })
  )

  it.effect("takes a re-serialised body and serves it byte for byte", () =>
    Effect.gen(function* () {
      const minted = mintManifest(newAgent(), { display_name: "Zoë 💡" })
      const token = yield* tokenFor(minted)
      const members = Object.entries(minted.manifest).toReversed()
      const body = JSON.stringify({ manifest: Object.fromEntries(members) }, null, 3).replace("ë", "\\u00eb")
      assert.strictEqual((yield* register(body, token)).status, 201)
      const served = yield* send(agentPath(minted.manifest.aid, "/manifest"))
      assert.strictEqual(served.text, body)
    })
  )

  it.effect("records siblings of the manifest and none of the manifest itself", () =>
    Effect.gen(function* () {
      const { manifest } = mintManifest(newAgent())
      const body = JSON.stringify({ manifest, signature: "x" })
      const answer = yield* register(body, yield* tokenFor({ text: body }))
      assert.deepEqual(answer.json()["conformanceFindings"], ["EXTRA_ENVELOPE_MEMBERS"])
    })
  )

  it.effect("judges the body's form before the token, and the token before everything else", () =>
    Effect.gen(function* () {
      const { text } = mintManifest(newAgent())
      const of = (body: unknown, token = "") => Effect.map(register(body, token), outcomeOf)
      // step 1
      for (const body of ["", "{", "null", "[]", "1", '"x"', "{}", '{"manifest":null}', '{"manifest":[]}']) {
        assert.strictEqual(yield* of(body), "400 BODY_INVALID", body)
      }
      for (const aid of [undefined, null, "", 1, {}]) {
        assert.strictEqual(yield* of({ manifest: { aid } }), "400 BODY_INVALID", JSON.stringify(aid))
      }
      // step 2
      assert.strictEqual(yield* of(text), "401 TOKEN_INVALID")
      assert.strictEqual(
        yield* of({ manifest: { aid: "x", extensions: { namespace: 1 } } }),
        "401 TOKEN_INVALID"
      )
      assert.strictEqual(yield* of({ manifest: { aid: "x", expires_at: 1 } }), "401 TOKEN_INVALID")
    })
  )

  it.effect("judges the namespace hint, the lifetime, the manifest and its digest in this order", () =>
    Effect.gen(function* () {
      const agent = newAgent()
      const token = yield* tokenFor(mintManifest(agent))
      const { manifest } = mintManifest(agent, { extensions: { namespace: 7 }, expires_at: now - 1 })
      const bad = { ...manifest, version: "aitp/9" }
      const of = (given: object) =>
        Effect.map(register({ manifest: given }, token), (answer) => answer.json())
      assert.deepInclude(yield* of(bad), { code: "BODY_INVALID" })
      assert.deepInclude(yield* of({ ...bad, extensions: {} }), {
        code: "MANIFEST_EXPIRED",
        verifyCode: "expired",
        protocolCode: "MANIFEST_EXPIRED"
      })
      const short = yield* of({ ...bad, extensions: {}, expires_at: nowSecs() + 299 })
      assert.deepInclude(short, { code: "MANIFEST_EXPIRED", protocolCode: "MANIFEST_TTL_TOO_SHORT" })
      assert.notProperty(short, "verifyCode")
      assert.deepInclude(yield* of({ ...bad, extensions: {}, expires_at: nowSecs() + 900 }), {
        code: "MANIFEST_INVALID",
        verifyCode: "version_unknown",
        protocolCode: "MANIFEST_VERSION_UNKNOWN"
      })
      // a sound manifest of the same agent, but not the one the token was made for
      assert.deepInclude(yield* of(mintManifest(agent, { display_name: "other" }).manifest), {
        code: "TOKEN_INVALID"
      })
    })
  )

  it.effect("does not burn the token of a failed registration, and burns that of a successful one", () =>
    Effect.gen(function* () {
      const minted = mintManifest(newAgent())
      const token = yield* tokenFor(minted)
      const broken = { manifest: { ...minted.manifest, display_name: "x" } }
      assert.strictEqual(outcomeOf(yield* register(broken, token)), "400 MANIFEST_INVALID")
      assert.strictEqual(
        outcomeOf(yield* register(minted.text, token, { "x-aitp-namespace": "n".repeat(129) })),
        "400 BAD_REQUEST"
      )
      assert.strictEqual(outcomeOf(yield* register(minted.text, token)), "201 ok")
      assertRefused(yield* register(minted.text, token), 401, "TOKEN_REPLAYED")
    })
  )

  it.effect("refuses a token of another agent", () =>
    Effect.gen(function* () {
      const token = yield* tokenFor(mintManifest(newAgent()))
      const answer = yield* register(mintManifest(newAgent()).text, token)
      assertRefused(answer, 401, "TOKEN_INVALID")
      assert.strictEqual(answer.headers["www-authenticate"], "Bearer")
    })
  )

  it.effect("lets an API key register nobody", () =>
    Effect.gen(function* () {
      const { text } = mintManifest(newAgent())
      assert.strictEqual(
        yield* outcome("/api/registry/agents", { body: text, key: true }),
        "401 TOKEN_INVALID"
      )
    })
  )

  it.effect("lets exactly one of 64 simultaneous registrations with one token in", () =>
    Effect.gen(function* () {
      const minted = mintManifest(newAgent())
      const token = yield* tokenFor(minted)
      const answers = yield* Effect.forEach(Array.from({ length: 64 }), () => register(minted.text, token), {
        concurrency: "unbounded"
      })
      const outcomes = Map.groupBy(answers, outcomeOf)
      assert.deepEqual([...outcomes.keys()].toSorted(), ["201 ok", "401 TOKEN_REPLAYED"])
      assert.strictEqual(outcomes.get("201 ok")?.length, 1)
    })
  )

  it.effect(
    "takes the namespace from the header, else from the manifest, else `default`, anew each time",
    () =>
      Effect.gen(function* () {
        const agent = newAgent()
        let publishedAt = nowSecs() - 100
        const namespaceOf = Effect.fnUntraced(function* (hint: string | undefined, header?: string) {
          publishedAt += 1
          const extensions = hint === undefined ? {} : { extensions: { namespace: hint } }
          const minted = mintManifest(agent, { published_at: publishedAt, ...extensions })
          yield* join(minted, header === undefined ? {} : { "x-aitp-namespace": header })
          return (yield* send(agentPath(agent.aid))).json<AgentRow>().namespace
        })
        assert.strictEqual(yield* namespaceOf("hint", "header"), "header")
        assert.strictEqual(yield* namespaceOf("hint", ""), "hint")
        assert.strictEqual(yield* namespaceOf("hint"), "hint")
        assert.strictEqual(yield* namespaceOf(""), "default")
        assert.strictEqual(yield* namespaceOf(undefined), "default")
        assert.strictEqual(yield* namespaceOf(undefined, "n".repeat(128)), "n".repeat(128))
      })
  )

  for (const namespace of [1, null, {}, "n".repeat(129), "a\0b"]) {
    it.effect(
      `refuses extensions.namespace ${JSON.stringify(namespace).slice(0, 20)} and stores nothing`,
      () =>
        Effect.gen(function* () {
          const minted = mintManifest(newAgent(), { extensions: { namespace } })
          assertRefused(yield* register(minted.text, yield* tokenFor(minted)), 400, "BODY_INVALID")
          assert.strictEqual(yield* outcome(agentPath(minted.manifest.aid)), "404 NOT_FOUND")
        })
    )
  }

  it.effect("refuses an older manifest at both steps, and takes an equal or newer one", () =>
    Effect.gen(function* () {
      const agent = newAgent()
      const at = nowSecs() - 50
      const first = yield* join(mintManifest(agent, { published_at: at }))
      const older = mintManifest(agent, { published_at: at - 1 })
      assertRefused(yield* enroll(older.text), 409, "MANIFEST_STALE")
      const equal = mintManifest(agent, { published_at: at, display_name: "equal" })
      const tokenOfEqual = yield* tokenFor(equal)
      const second = yield* join(mintManifest(agent, { published_at: at + 1 }))
      assert.strictEqual(second.registeredAt, first.registeredAt)
      // enrolled in time, overtaken since
      assertRefused(yield* register(equal.text, tokenOfEqual), 409, "MANIFEST_STALE")
      const again = mintManifest(agent, { published_at: at + 1, display_name: "again" })
      yield* join(again)
      assert.strictEqual((yield* send(agentPath(agent.aid))).json<AgentRow>().displayName, "again")
    })
  )

  it.effect("refuses the other spelling of a registered key at both steps", () =>
    Effect.gen(function* () {
      const agent = newAgent("untagged")
      const raw = agent.aid.slice("aid:pubkey:".length)
      const tagged = { ...agent, aid: `aid:pubkey:ed25519:${raw}` as typeof agent.aid } // the same key
      const other = mintManifest(tagged)
      const token = yield* tokenFor(other)
      yield* join(mintManifest(agent))
      const existing = { existing: { aid: agent.aid } }
      assertRefused(yield* enroll(other.text), 409, "AID_FORM_CONFLICT", existing)
      assertRefused(yield* register(other.text, token), 409, "AID_FORM_CONFLICT", existing)
    })
  )

  it.effect("registers one spelling of a key when both come at the same time", () =>
    Effect.gen(function* () {
      const agent = newAgent("untagged")
      const raw = agent.aid.slice("aid:pubkey:".length)
      const tagged = { ...agent, aid: `aid:pubkey:ed25519:${raw}` as typeof agent.aid } // the same key
      const minted = [mintManifest(agent), mintManifest(tagged)]
      const tokens = yield* Effect.forEach(minted, tokenFor)
      const answers = yield* Effect.forEach(
        minted,
        ({ text }, index) => register(text, tokens[index] ?? ""),
        { concurrency: 2 }
      )
      assert.deepEqual(answers.map(outcomeOf).toSorted(), ["201 ok", "409 AID_FORM_CONFLICT"])
    })
  )

  it.effect("takes a namespace header of any script, as UTF-8", () =>
    Effect.gen(function* () {
      const namespace = "équipe-日本"
      const minted = mintManifest(newAgent())
      const header = Buffer.from(namespace).toString("latin1")
      const answer = yield* register(minted.text, yield* tokenFor(minted), { "x-aitp-namespace": header })
      assert.deepInclude(answer.json<object>(), { namespace })
    })
  )

  it.effect(
    "never re-activates an agent with the manifest it was deregistered with, and does with a new one",
    () =>
      Effect.gen(function* () {
        const { agent, aid, minted } = yield* joined()
        const token = yield* tokenFor(minted)
        assert.strictEqual(yield* outcome(agentPath(aid), { method: "DELETE", key: true }), "200 ok")
        assertRefused(yield* enroll(minted.text), 409, "MANIFEST_STALE")
        assertRefused(yield* register(minted.text, token), 409, "MANIFEST_STALE")
        const older = mintManifest(agent, { published_at: minted.manifest.published_at - 10 })
        assertRefused(yield* enroll(older.text), 409, "MANIFEST_STALE")
        yield* join(mintManifest(agent, { display_name: "back" }))
        assert.deepInclude((yield* send(agentPath(aid))).json<object>(), {
          status: "active",
          displayName: "back"
        })
      })
  )
})

describe.skipIf(isRemote)("enrolment tokens", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    const mint = (claims: object, secret = ENROLLMENT_SECRET, alg = "sha256") => {
      const payload = Buffer.from(JSON.stringify(claims)).toString("base64url")
      return `${payload}.${createHmac(alg, secret).update(payload).digest("base64url")}`
    }

    it.effect("are taken in the documented form and in no other", () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent())
        const mh = Buffer.from(manifestDigest(minted.manifest)).toString("base64url")
        const iat = nowSecs()
        const sound = {
          sub: minted.manifest.aid,
          scope: "register",
          iat,
          exp: iat + 300,
          jti: randomUUID(),
          mh
        }
        const { mh: _, ...unbound } = sound
        const refused: ReadonlyArray<readonly [string, string]> = [
          ["another secret", mint(sound, "another-secret-of-more-than-32-characters")],
          ["another hash", mint(sound, ENROLLMENT_SECRET, "sha512")],
          ["another scope", mint({ ...sound, scope: "admin" })],
          ["no scope", mint({ ...sound, scope: undefined })],
          ["another subject", mint({ ...sound, sub: newAgent().aid })],
          ["an expiry in the past", mint({ ...sound, exp: iat - 1 })],
          ["an expiry now", mint({ ...sound, exp: iat })],
          ["an expiry that is text", mint({ ...sound, exp: String(iat + 300) })],
          ["no expiry", mint({ ...sound, exp: undefined })],
          ["no jti", mint({ ...sound, jti: undefined })],
          ["a jti that is no UUID", mint({ ...sound, jti: "x" })],
          ["no manifest digest", mint(unbound)],
          [
            "another manifest digest",
            mint({ ...sound, mh: createHash("sha256").update("x").digest("base64url") })
          ],
          ["the digest in hex", mint({ ...sound, mh: Buffer.from(mh, "base64url").toString("hex") })],
          ["claims that are no object", mint([sound])],
          ["a JWT", `${Buffer.from('{"alg":"none"}').toString("base64url")}.${mint(sound)}`]
        ]
        for (const [what, token] of refused) {
          assertRefused(yield* register(minted.text, token), 401, "TOKEN_INVALID")
          assert.strictEqual(yield* outcome(agentPath(minted.manifest.aid)), "404 NOT_FOUND", what)
        }
        assert.strictEqual((yield* register(minted.text, mint(sound))).status, 201)
      })
    )

    it.effect("appear in no log line, event or audit row", () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent())
        const token = yield* tokenFor(minted)
        yield* register(minted.text, token)
        yield* register(minted.text, token)
        const { process, sql } = yield* Control
        const [payload = "", mac = ""] = token.split(".")
        for (const secret of [payload, mac, ENROLLMENT_SECRET]) {
          assert.notInclude(process.log(), secret)
          const [found] = yield* sql<{ n: number }>`
            select (select count(*) from audit_events e where e::text like ${`%${secret}%`})::int
              + (select count(*) from admin_audit_log a where a::text like ${`%${secret}%`})::int as n`
          assert.strictEqual(found?.n, 0)
        }
      })
    )

    it.effect(
      "leave the event and the audit row of the registration they were spent on, and nothing on failure",
      () =>
        Effect.gen(function* () {
          const { sql } = yield* Control
          const { aid, minted } = yield* joined({ display_name: "Ada" }, "team")
          yield* register(minted.text, "x.y")
          const events =
            yield* sql`select type, source, reported_by as "reportedBy", payload::json as payload from audit_events where aid_a = ${aid}`
          assert.lengthOf(events, 1)
          const manifestSha256 = Buffer.from(manifestDigest(minted.manifest)).toString("hex")
          assert.deepEqual(events[0], {
            type: "agent.registered",
            source: "cp",
            reportedBy: `agent:${aid}`,
            payload: { displayName: "Ada", namespace: "team", reEnrolled: false, manifestSha256 }
          })
          const acts =
            yield* sql`select action, actor_id as "actorId" from admin_audit_log where target_id = ${aid}`
          assert.deepEqual(acts, [{ action: "agent.register", actorId: `agent:${aid}` }])
        })
    )
  })
})

describe.skipIf(isRemote)("the strict profile", () => {
  layer(ownService({ ENROLLMENT_PROFILE: "strict" }), { timeout: "60 seconds", excludeTestServices: true })(
    (it) => {
      it.effect("refuses every tolerance of compat and takes what the RFC allows", () =>
        Effect.gen(function* () {
          for (const given of [
            { accepted_trust_anchors: [] },
            { handshake_endpoint: "http://localhost:5001/aitp" },
            { display_name: "x".repeat(129) }
          ]) {
            assertRefused(
              yield* enroll(mintManifest(newAgent(), given).text),
              400,
              "MANIFEST_INVALID",
              malformed
            )
          }
          yield* joined({ display_name: "x".repeat(128) })
        })
      )

      it.effect("refuses siblings of the manifest at registration", () =>
        Effect.gen(function* () {
          const minted = mintManifest(newAgent())
          const answer = yield* register({ ...minted.envelope, signature: "x" }, yield* tokenFor(minted))
          assertRefused(answer, 400, "MANIFEST_INVALID", invalid("malformed", "UNKNOWN_FIELD"))
        })
      )
    }
  )
})
