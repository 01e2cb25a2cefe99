import { Effect, Result } from "effect"
import { randomBytes } from "node:crypto"
import { type Aid, formatAid } from "../../src/aitp/aid.ts"
import { encodeBase64url } from "../../src/aitp/base64url.ts"
import { isJsonObject } from "../../src/aitp/json.ts"
import { type Manifest, manifestDigest, signManifest, verifyManifest } from "../../src/aitp/manifest.ts"
import { ed25519Signer } from "../../src/aitp/signer.ts"
import type { Sql } from "./postgres.ts"

/** An agent that no service has met, and the envelope it presents itself with. */
export interface Identity {
  readonly aid: Aid
  readonly raw: Uint8Array
  readonly manifest: Manifest
  /** The envelope as it is sent and served. */
  readonly text: string
}

export const makeIdentity = (capability: string): Identity => {
  const signer = ed25519Signer(randomBytes(32))
  const aid = formatAid(signer.alg, signer.raw)
  const now = Math.floor(Date.now() / 1000)
  const name = `bench-${randomBytes(4).toString("hex")}`
  const manifest = signManifest(
    {
      display_name: name,
      identity_hint: { type: "pinned_key", subject: name, public_key: encodeBase64url(signer.raw) },
      handshake_endpoint: `https://${name}.example.com/aitp/handshake`,
      accepted_trust_anchors: ["https://idp.example.com"],
      accepted_identity_types: ["pinned_key"],
      offered_capabilities: [capability, "bench.any"],
      published_at: now,
      expires_at: now + 86_400
    },
    randomBytes(16),
    signer,
    aid
  )
  return { aid, raw: signer.raw, manifest, text: JSON.stringify({ manifest }) }
}

/** Whether the text of an envelope holds a manifest that this agent has signed. */
export const isManifestOf = (aid: string, text: string): boolean => {
  const envelope: unknown = JSON.parse(text)
  if (!isJsonObject(envelope) || !isJsonObject(envelope["manifest"])) return false
  const now = Math.floor(Date.now() / 1000)
  const verified = verifyManifest(envelope["manifest"], { now, profile: "strict" })
  return Result.isSuccess(verified) && envelope["manifest"]["aid"] === aid
}

const CHUNK = 1000

/**
 * Writes so many agents, as registrations would have left them, into a database that no service uses yet; agent n offers
 * capability `bench.<n % capabilities>`. In the order of discovery.
 */
export const seedAgents = Effect.fnUntraced(function* (sql: Sql, count: number, capabilities: number) {
  const base = Date.now() - count * 10
  const identities: Array<Identity> = []
  for (let from = 0; from < count; from += CHUNK) {
    const rows = Array.from({ length: Math.min(CHUNK, count - from) }, (_, index) => {
      const n = from + index
      const identity = makeIdentity(`bench.${n % capabilities}`)
      identities.push(identity)
      const { aid, manifest, raw, text } = identity
      return {
        aid,
        key: Buffer.from(raw).toString("hex"),
        name: manifest.display_name,
        endpoint: manifest.handshake_endpoint,
        caps: manifest.offered_capabilities,
        manifest: text,
        sha256: Buffer.from(manifestDigest(manifest)).toString("hex"),
        published: manifest.published_at,
        expires: manifest.expires_at,
        at: new Date(base + n * 10).toISOString()
      }
    })
    yield* sql`
      insert into agents (
        aid, key_alg, key_raw, display_name, handshake_endpoint, offered_caps, manifest_json, manifest_sha256,
        manifest_published_at, manifest_expires_at, verified_at, status, namespace, registered_at, last_enrolled_at)
      select
        aid, 'ed25519', decode(key, 'hex'), name, endpoint, caps, manifest, decode(sha256, 'hex'),
        to_timestamp(published), to_timestamp(expires), at, 'active', 'default', at, at
      from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as t (
        aid text, key text, name text, endpoint text, caps jsonb, manifest text, sha256 text, published float8,
        expires float8, at timestamptz)`
  }
  yield* sql`analyze agents`.unprepared
  return identities
})
