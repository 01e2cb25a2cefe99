import { createHash } from "node:crypto"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { ed25519Signer } from "../../../src/aitp/signer.ts"
import { signDigest } from "../../../src/aitp/signature.ts"
import { formatAid } from "../../../src/aitp/aid.ts"
import type { Entry } from "./histories.ts"

/** A control plane as far as its documents go; `seed` is 32 bytes in hex, or any other text. */
export const publisher = (seed: string) => {
  const signer = ed25519Signer(
    /^[0-9a-f]{64}$/.test(seed) ? Buffer.from(seed, "hex") : createHash("sha256").update(seed).digest()
  )
  return {
    aid: formatAid("ed25519", signer.raw),
    /** `{"<name>": body, "signature": …}`. */
    sign: (name: string, body: object): string => {
      const inner = canonicalJson(body)
      const signature = signDigest(signer, createHash("sha256").update(inner).digest())
      return `{"${name}":${inner},"signature":"${signature}"}`
    }
  }
}

export type Publisher = ReturnType<typeof publisher>

/** SHA-256, base64url, of what canonical JSON makes of the entries. */
export const digestOf = (entries: ReadonlyArray<Entry>): string =>
  createHash("sha256").update(canonicalJson(entries)).digest("base64url")

/** When version `n` was published: a minute per version. */
export const publishedAt = (version: number): number => 1_700_000_000 + version * 60

export const TTL_SECS = 3600

/** Members that every feed document of a version has. */
export const common = ({ aid }: Publisher, version: number) => ({
  version: "aitp-cp/1",
  issuer: aid,
  published_at: publishedAt(version),
  expires_at: publishedAt(version) + TTL_SECS
})

/** The full list of a version. */
export const listText = (by: Publisher, version: number, entries: ReadonlyArray<Entry>): string =>
  by.sign("revocation_list", { ...common(by, version), version: "aitp/0.2", entries })
