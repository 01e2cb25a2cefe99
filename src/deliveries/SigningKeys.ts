import { Context, Effect, Layer } from "effect"
import { encodeBase64url } from "../aitp/base64url.ts"
import { Db } from "../db/Db.ts"
import * as Document from "../http/Document.ts"
import { everyInterval } from "../jobs/loop.ts"
import { SigningKey } from "./SigningKey.ts"

/** A public key of the set (RFC 7517, RFC 8037). */
export interface SigningJwk {
  readonly kty: "OKP"
  readonly crv: "Ed25519"
  readonly x: string
  /** `wh-` and the thumbprint. */
  readonly kid: string
  readonly use: "sig"
  readonly alg: "EdDSA"
}

/** How long a key stays in the set after the last process that signs with it was heard of, hours. */
const KEPT_HOURS = 24
const ANNOUNCE_EVERY_MS = 3_600_000
/** How long a replica serves its copy before it looks for another one. */
const MEMO_MS = 1000
/** Longest time a client may keep the set, seconds. */
const MAX_AGE_SECS = 300
/** Keys in the set; of more the newest. */
const MAX_KEYS = 16

const jwkOf = (kid: string, publicKey: Uint8Array): SigningJwk => ({
  kty: "OKP",
  crv: "Ed25519",
  x: encodeBase64url(publicKey),
  kid,
  use: "sig",
  alg: "EdDSA"
})

const render = (keys: ReadonlyArray<SigningJwk>) =>
  Document.make(JSON.stringify({ keys }), { cacheControl: `max-age=${MAX_AGE_SECS}` })

/**
 * The keys that webhooks are signed with, as all replicas publish them: each names its own in the database, so that while
 * the key is being changed every replica shows the old and the new one.
 */
export class SigningKeys extends Context.Service<
  SigningKeys,
  {
    /** The published set; without a database the last one known, at least the own key. */
    readonly document: Effect.Effect<Document.Document>
    /** Says that the own key is in use. */
    readonly announce: Effect.Effect<void>
  }
>()("cp/deliveries/SigningKeys") {
  static readonly layer = Layer.effect(
    SigningKeys,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { kid, signer } = yield* SigningKey

      const announce = Effect.asVoid(sql`
        insert into webhook_signing_keys as k (kid, public_key) values (${kid}, ${signer.raw}::bytea)
        on conflict (kid) do update set used_at = clock_timestamp()`).pipe(
        Effect.withSpan("SigningKeys.announce"),
        Effect.orDie
      )
      const read = sql<{ readonly kid: string; readonly publicKey: Uint8Array }>`
        select kid, public_key from webhook_signing_keys
        where used_at > clock_timestamp() - make_interval(hours => ${KEPT_HOURS}::int)
        order by created_at desc, kid limit ${MAX_KEYS}::int`.pipe(Effect.withSpan("SigningKeys.read"))

      let known = { document: render([jwkOf(kid, signer.raw)]), readAt: Number.NEGATIVE_INFINITY }

      const document = Effect.gen(function* () {
        const now = performance.now()
        if (now - known.readAt < MEMO_MS) return known.document
        const keys = yield* Effect.orElseSucceed(read, () => undefined)
        known = {
          document:
            keys === undefined
              ? known.document
              : render(keys.map(({ kid, publicKey }) => jwkOf(kid, publicKey))),
          readAt: now
        }
        return known.document
      })

      yield* announce
      return { announce, document }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { announce } = yield* SigningKeys
      yield* everyInterval("announcing of the webhook key", ANNOUNCE_EVERY_MS, announce)
    })
  )
}
