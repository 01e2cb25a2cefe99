import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { canonicalDigest } from "../../../src/aitp/jcs.ts"
import { type Manifest, type ManifestBody, signManifest } from "../../../src/aitp/manifest.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { signDigest } from "../../../src/aitp/signature.ts"
import type { TestAgent } from "./agent.ts"

export interface MintedManifest {
  readonly manifest: Manifest
  readonly envelope: { readonly manifest: Manifest }
  readonly text: string
}

/**
 * A signed Manifest that passes `strict`, valid for a day from `published_at` (default: now). Overrides may be any member
 * with any value, `undefined` removes one, and all are signed: so a test can mint a validly signed offence.
 */
export const mintManifest = (
  agent: TestAgent,
  overrides: Partial<ManifestBody> | Readonly<Record<string, unknown>> = {}
): MintedManifest => {
  const given = overrides.published_at
  const publishedAt = typeof given === "number" ? given : Math.floor(Date.now() / 1000)
  const body: ManifestBody = {
    identity_hint: { type: "pinned_key", subject: "test-agent", public_key: encodeBase64url(agent.raw) },
    handshake_endpoint: "https://agent.example.com/aitp/handshake",
    accepted_trust_anchors: ["https://idp.example.com"],
    offered_capabilities: ["demo.echo"],
    published_at: publishedAt,
    expires_at: publishedAt + 86_400
  }
  // Other content has another challenge, and equal content is equal byte for byte.
  const challenge = sha256(JSON.stringify({ ...body, ...overrides })).subarray(0, 16)
  const { signature: _, ...proper } = signManifest(body, challenge, agent, agent.aid)
  const members = Object.entries({ ...proper, ...overrides }).filter(([, value]) => value !== undefined)
  const unsigned = Object.fromEntries(members) as Omit<Manifest, "signature"> // or an offence on purpose
  const manifest: Manifest = { ...unsigned, signature: signDigest(agent, canonicalDigest(unsigned)) }
  return { manifest, envelope: { manifest }, text: JSON.stringify({ manifest }) }
}
