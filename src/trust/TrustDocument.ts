import { Clock, Context, Effect, Layer } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { Db } from "../db/Db.ts"
import type { PinnedKey } from "./model.ts"
import { type AnchorKeys, trustDocument, type TrustDocumentBody } from "./trust-document.ts"
import { ownedVisibly } from "./visible.ts"

/** The trust-anchors document of a namespace, made from its anchors and pins as they are now. */
export class TrustDocument extends Context.Service<
  TrustDocument,
  {
    /** In the order of issuers and subjects, so that it changes only when what it says changes. */
    readonly read: (namespace: string, visibility: Visibility) => Effect.Effect<TrustDocumentBody>
  }
>()("cp/trust/TrustDocument") {
  static readonly layer = Layer.effect(
    TrustDocument,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const read = Effect.fn("TrustDocument.read")(function* (namespace: string, visibility: Visibility) {
        const anchors = yield* sql<AnchorKeys>`
          select a.issuer_url, a.jwks_keys as keys from trust_anchors a
          where a.namespace = ${namespace} and a.jwks_keys <> '[]' and ${ownedVisibly(sql, "a", visibility)}
          order by a.issuer_url collate "C"`
        const pins = yield* sql<Pick<PinnedKey, "aid" | "pubkey" | "keyMatchesAid" | "expiresAt">>`
          select k.aid, k.pubkey, k.key_matches_aid, k.expires_at from pinned_keys k
          where k.namespace = ${namespace} and ${ownedVisibly(sql, "k", visibility)}
          order by k.aid collate "C"`
        return trustDocument(anchors, pins, yield* Clock.currentTimeMillis)
      }, Effect.orDie)

      return { read }
    })
  )
}
