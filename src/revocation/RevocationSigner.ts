import { Context, Effect, Layer } from "effect"
import type { Aid } from "../aitp/aid.ts"
import { canonicalJson } from "../aitp/jcs.ts"
import type { JsonObject } from "../aitp/json.ts"
import { signDigest } from "../aitp/signature.ts"
import { AppConfig } from "../config.ts"
import { Identity } from "../identity/Identity.ts"

/** Signs documents about revocations under the service's AID: `{"<name>":<body>,"signature":"…"}`. */
export class RevocationSigner extends Context.Service<
  RevocationSigner,
  {
    /** `issuer` of everything signed here. */
    readonly issuer: Aid
    /** Signs the canonical JSON (RFC 8785) of the body; the text of the document. */
    readonly signDocument: (name: string, body: JsonObject) => Effect.Effect<string>
    /** The same for a body that is canonical JSON already; large ones do not hold up other work. */
    readonly signCanonical: (name: string, body: string) => Effect.Effect<string>
    /** Signs the list, in the form that is configured (RFC-AITP-0008 §1.5); canonical JSON in, UTF-8 of the document out. */
    readonly signList: (body: Uint8Array) => Effect.Effect<Uint8Array>
  }
>()("cp/revocation/RevocationSigner") {
  static readonly layer = Layer.effect(
    RevocationSigner,
    Effect.gen(function* () {
      const { aid, signer } = yield* Identity
      const { signingForm } = (yield* AppConfig).revocation

      const signBytes = Effect.fnUntraced(function* (name: string, body: Uint8Array, wrapped: boolean) {
        const head = Buffer.from(`{${canonicalJson(name)}:`)
        const digest = yield* sha256(wrapped ? Buffer.concat([head, body, Buffer.from("}")]) : body)
        const signature = signDigest(signer, digest)
        return Buffer.concat([head, body, Buffer.from(`,"signature":"${signature}"}`)])
      })

      const signCanonical = (name: string, body: string) =>
        Effect.map(signBytes(name, Buffer.from(body), false), (bytes) => bytes.toString("utf8"))

      return {
        issuer: aid,
        signDocument: (name, body) => signCanonical(name, canonicalJson(body)),
        signCanonical,
        signList: (body) => signBytes("revocation_list", body, signingForm === "wrapped")
      }
    })
  )
}

/** SHA-256 off the event loop. */
export const sha256 = (bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)), // nothing here shares memory
    (digest) => new Uint8Array(digest)
  )
