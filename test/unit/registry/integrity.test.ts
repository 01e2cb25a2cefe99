import { assert, describe, it } from "@effect/vitest"
import { canonicalKey } from "../../../src/aitp/aid.ts"
import { manifestDigest } from "../../../src/aitp/manifest.ts"
import { integrityFailure, type StoredManifest } from "../../../src/registry/integrity.ts"
import { makeAgent, type TestAgent } from "../../support/aitp/agent.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"

const stored = (agent: TestAgent, overrides: Readonly<Record<string, unknown>> = {}): StoredManifest => {
  const { manifest, text } = mintManifest(agent, overrides)
  const { alg, raw } = canonicalKey(agent.aid)
  return {
    aid: agent.aid,
    keyAlg: alg,
    keyRaw: raw,
    displayName: manifest.display_name ?? agent.aid,
    handshakeEndpoint: manifest.handshake_endpoint,
    offeredCaps: manifest.offered_capabilities,
    manifestJson: text,
    manifestSha256: manifestDigest(JSON.parse(JSON.stringify(manifest))),
    publishedAt: manifest.published_at,
    expiresAt: manifest.expires_at
  }
}

describe("a stored manifest", () => {
  const day = 86_400
  const long = 1_500_000_000
  const [ed25519, p256] = [makeAgent(), makeAgent({ alg: "p256" })]

  it.each<readonly [string, StoredManifest]>([
    ["as it was registered", stored(ed25519, { display_name: "Ada" })],
    ["of a P-256 key", stored(p256)],
    ["that expired long ago", stored(ed25519, { published_at: long, expires_at: long + day })],
    ["that only the compat profile takes", stored(ed25519, { accepted_trust_anchors: [] })],
    ["whose row says an earlier end", { ...stored(ed25519), expiresAt: 1 }],
    ["with blanks", { ...stored(ed25519), manifestJson: ` ${stored(ed25519).manifestJson}\n` }]
  ])("%s is whole", (_, agent) => {
    assert.isUndefined(integrityFailure(agent))
  })

  const good = stored(ed25519)
  const other = stored(p256)
  const named = stored(ed25519, { display_name: "Ada" })

  it.each<readonly [string, string, Partial<StoredManifest>]>([
    ["whose text was cut", "unreadable", { manifestJson: good.manifestJson.slice(0, -2) }],
    ["that is no envelope", "unreadable", { manifestJson: "{}" }],
    [
      "one character of which is another",
      "signature_invalid",
      { manifestJson: good.manifestJson.replace("demo.echo", "demo.ecko") }
    ],
    ["that another key has signed", "digest_mismatch", { manifestJson: other.manifestJson }],
    ["that the same key has signed at another time", "digest_mismatch", { manifestJson: named.manifestJson }],
    ["under another AID", "record_mismatch", { aid: other.aid }],
    ["under another algorithm", "record_mismatch", { keyAlg: "p256" }],
    ["under another key", "record_mismatch", { keyRaw: other.keyRaw }],
    ["with another name in its row", "record_mismatch", { displayName: "Eve" }],
    ["with another endpoint in its row", "record_mismatch", { handshakeEndpoint: "https://evil.example/" }],
    ["with more capabilities in its row", "record_mismatch", { offeredCaps: ["demo.echo", "demo.admin"] }],
    ["with no list of capabilities in its row", "record_mismatch", { offeredCaps: null }],
    ["whose row says another time of publication", "record_mismatch", { publishedAt: good.publishedAt + 1 }],
    ["whose row says a later end", "record_mismatch", { expiresAt: good.expiresAt + 1 }],
    ["whose row never ends", "record_mismatch", { expiresAt: Number.POSITIVE_INFINITY }]
  ])("%s fails: %s", (_, reason, change) => {
    assert.strictEqual(integrityFailure({ ...good, ...change }), reason)
  })
})
