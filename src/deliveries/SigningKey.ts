import { hkdfSync } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { encodeBase64url } from "../aitp/base64url.ts"
import { publicKey } from "../aitp/keys.ts"
import { ed25519Signer, type Signer } from "../aitp/signer.ts"
import { AppConfig } from "../config.ts"
import { Secrets } from "../identity/Secrets.ts"

/** Id of a webhook key: `wh-` and its thumbprint (RFC 7638). */
export const keyId = (raw: Uint8Array): string | undefined => {
  const key = publicKey("ed25519", encodeBase64url(raw))
  return key === undefined ? undefined : `wh-${key.thumbprint}`
}

/** The key that signs webhooks; never the key of the service's AID. */
export class SigningKey extends Context.Service<
  SigningKey,
  { readonly signer: Signer; readonly kid: string }
>()("cp/deliveries/SigningKey") {
  static readonly layer = Layer.effect(
    SigningKey,
    Effect.gen(function* () {
      const { signingSeedHex } = (yield* AppConfig).webhooks
      const { aidSeed } = yield* Secrets
      const seed =
        signingSeedHex === undefined
          ? new Uint8Array(
              hkdfSync("sha256", Redacted.value(aidSeed), new Uint8Array(0), "aitp-cp webhook signing v1", 32)
            )
          : new Uint8Array(Buffer.from(Redacted.value(signingSeedHex), "hex"))
      const signer = ed25519Signer(seed)
      const kid = keyId(signer.raw)
      if (kid === undefined) return yield* Effect.die(new Error("the webhook key is no Ed25519 key"))
      return { signer, kid }
    })
  )
}
