import { Context, Effect, Layer, Redacted } from "effect"
import { type Aid, formatAid } from "../aitp/aid.ts"
import { ed25519Signer, type Signer } from "../aitp/signer.ts"
import { Secrets } from "./Secrets.ts"

/** The service's own key. It signs the own manifest, the revocation list and the feeds made from that list, nothing else. */
export class Identity extends Context.Service<
  Identity,
  {
    /** In the untagged form, so that one seed gives the AID it always gave. */
    readonly aid: Aid
    readonly signer: Signer
  }
>()("cp/identity/Identity") {
  static readonly layer = Layer.effect(
    Identity,
    Effect.gen(function* () {
      const { aidSeed } = yield* Secrets
      const signer = ed25519Signer(Redacted.value(aidSeed))
      return { aid: formatAid(signer.alg, signer.raw, "untagged"), signer }
    })
  )
}
