import { ed25519PublicKey, importEd25519Seed, signEd25519 } from "./ed25519.ts"
import type { CanonicalKey } from "./keys.ts"

/** Holds a private key. The service itself signs with Ed25519 only; tests bring P-256 signers of their own. */
export interface Signer extends CanonicalKey {
  /** Ed25519 over the message, or ES256 (which hashes the message); 64 bytes. */
  readonly sign: (message: Uint8Array) => Uint8Array
}

/** The Ed25519 signer of a 32-byte seed; throws a RangeError for any other length. Import it once and keep it. */
export const ed25519Signer = (seed: Uint8Array): Signer => {
  const privateKey = importEd25519Seed(seed)
  return {
    alg: "ed25519",
    raw: ed25519PublicKey(privateKey),
    sign: (message) => signEd25519(privateKey, message)
  }
}
