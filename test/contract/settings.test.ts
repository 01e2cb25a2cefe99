import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ed25519Signer } from "../../src/aitp/signer.ts"
import { mintTct } from "../support/aitp/mint-tokens.ts"
import { newAgent, unique } from "../support/service/agents.ts"
import { read, send } from "../support/service/client.ts"
import { eventsOfRun, ingest } from "../support/service/events.ts"
import { ENTRIES, LIST, revoke } from "../support/service/revocations.ts"
import { Control, isRemote, ownService } from "../support/service/Service.ts"
import { listFault, type SignedList } from "../support/service/verify-list.ts"

const SEED = "17".repeat(32)

/** A report of two TCTs, one with its token and one that anybody could have written. */
const reported = Effect.gen(function* () {
  const [issuer, subject] = [newAgent(), newAgent()]
  const { claims, token } = mintTct(issuer, subject)
  const runId = unique("tokens")
  const claimed = randomUUID()
  yield* ingest([
    { type: "tct.issued", runId, payload: { tct: { token }, note: `it is ${token}.` } },
    { type: "tct.issued", runId, payload: { tct: { jti: claimed, iss: issuer.aid, sub: subject.aid } } }
  ])
  const [event] = yield* eventsOfRun(runId)
  return { claims, claimed, event, issuer, token }
})

interface Observed {
  readonly tcts: ReadonlyArray<{ readonly jti: string; readonly signatureVerified: boolean | null }>
}

const observed = (issuer: string) =>
  Effect.map(read<Observed>(`/api/tcts?issuer=${encodeURIComponent(issuer)}`), ({ tcts }) =>
    Object.fromEntries(tcts.map(({ jti, signatureVerified }) => [jti, signatureVerified]))
  )

const list = Effect.map(send(LIST), ({ text }) => ({
  text,
  ...(JSON.parse(text) as SignedList).revocation_list
}))

describe.skipIf(isRemote)("settings", () => {
  layer(ownService({ REVOCATION_SIGNING_FORM: "wrapped" }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })((it) => {
    it.effect(
      "EVENT_TOKEN_REDACTION on, the default: tokens are neither shown nor logged, their facts are",
      () =>
        Effect.gen(function* () {
          const { claims, claimed, event, issuer, token } = yield* reported
          const stored = JSON.stringify(event)
          assert.notInclude(stored, token.split(".")[2] ?? "")
          assert.match(stored, /"token":"jws:sha256:[\w-]{43}"/)
          assert.match(stored, /"note":"it is jws:sha256:[\w-]{43}\."/)
          const [artifact] = (event?.artifacts ?? []) as ReadonlyArray<object>
          assert.deepInclude(artifact, { jti: claims.jti, issuer: issuer.aid, signatureVerified: true })
          assert.notInclude((yield* Control).process.log(), token)
          // OBSERVED_ARTIFACT_VERIFICATION off, the default, projects all
          assert.deepEqual(yield* observed(issuer.aid), { [claims.jti]: true, [claimed]: null })
        })
    )

    it.effect("REVOCATION_SIGNING_FORM=wrapped signs the list for peers on old SDKs", () =>
      Effect.gen(function* () {
        const { jti } = yield* revoke()
        const { entries, expires_at, published_at, text } = yield* list
        assert.isUndefined(listFault(text, "wrapped"))
        assert.isDefined(listFault(text, "inner"))
        assert.isTrue(entries.some((entry) => entry.jti === jti))
        assert.strictEqual(expires_at - published_at, 3600, "REVOCATION_LIST_TTL_SECS")
      })
    )
  })

  const others = {
    EVENT_TOKEN_REDACTION: "off",
    OBSERVED_ARTIFACT_VERIFICATION: "strict",
    REVOCATION_LIST_PROFILE: "strict",
    REVOCATION_LIST_TTL_SECS: "120",
    WEBHOOK_SIGNING_SEED_HEX: SEED
  }
  layer(ownService(others), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("EVENT_TOKEN_REDACTION=off stores tokens as sent", () =>
      Effect.gen(function* () {
        const { event, token } = yield* reported
        assert.deepEqual(event?.payload, { tct: { token }, note: `it is ${token}.` })
      })
    )

    it.effect("OBSERVED_ARTIFACT_VERIFICATION=strict projects only what verifies", () =>
      Effect.gen(function* () {
        const { claims, issuer } = yield* reported
        assert.deepEqual(yield* observed(issuer.aid), { [claims.jti]: true })
      })
    )

    it.effect("REVOCATION_LIST_PROFILE=strict serves the signed empty list, entries stay queryable", () =>
      Effect.gen(function* () {
        const { jti } = yield* revoke()
        const { entries, expires_at, published_at, text } = yield* list
        assert.isUndefined(listFault(text))
        assert.deepEqual(entries, [])
        assert.strictEqual(expires_at - published_at, 120, "REVOCATION_LIST_TTL_SECS")
        assert.deepInclude(yield* read(`${ENTRIES}/${jti}`), { jti })
      })
    )

    it.effect("WEBHOOK_SIGNING_SEED_HEX is the key that receivers find", () =>
      Effect.gen(function* () {
        const { keys } = yield* read<{ readonly keys: ReadonlyArray<object> }>("/.well-known/jwks.json")
        const x = Buffer.from(ed25519Signer(Buffer.from(SEED, "hex")).raw).toString("base64url")
        assert.lengthOf(keys, 1)
        assert.deepInclude(keys[0], { kty: "OKP", crv: "Ed25519", x, use: "sig", alg: "EdDSA" })
      })
    )
  })
})
