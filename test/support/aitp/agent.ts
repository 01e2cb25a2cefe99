import { p256 } from "@noble/curves/nist.js"
import { type Aid, type AidForm, formatAid } from "../../../src/aitp/aid.ts"
import type { KeyAlg } from "../../../src/aitp/keys.ts"
import { sha256 } from "../../../src/aitp/sha256.ts"
import { ed25519Signer, type Signer } from "../../../src/aitp/signer.ts"

export interface TestAgent extends Signer {
  readonly aid: Aid
}

let made = 0

const p256Signer = (secret: Uint8Array): Signer => ({
  alg: "p256",
  raw: p256.getPublicKey(secret, true),
  sign: (message) => p256.sign(message, secret, { prehash: true, lowS: true })
})

/** A principal with its key. Without `seed` each call gives another one, the same in every run. */
export const makeAgent = (
  options: { readonly alg?: KeyAlg; readonly form?: AidForm; readonly seed?: Uint8Array } = {}
): TestAgent => {
  const seed = options.seed ?? sha256(`test agent ${made++}`)
  const alg = options.alg ?? (options.form === "p256" ? "p256" : "ed25519")
  const signer = alg === "p256" ? p256Signer(seed) : ed25519Signer(seed)
  return { ...signer, aid: formatAid(alg, signer.raw, options.form) }
}
