import { createHash, randomBytes } from "node:crypto"
import { Clock, Context, Duration, Effect, Layer, Option, Schedule } from "effect"
import { signManifest } from "../aitp/manifest.ts"
import { AppConfig } from "../config.ts"
import { Db, onBackground } from "../db/Db.ts"
import { type Lease, Leases, stillHeld } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { Identity } from "./Identity.ts"

/** Seconds a manifest is valid; it is signed anew at half of that (RFC-AITP-0003 §4). */
const VALIDITY_SECS = 86_400
/** How long a replica serves its copy before it looks for a newer one. */
const MEMO_MS = 1000
const NAME = "aitp-control-plane"
/** The schema wants an anchor. We accept no peer and must never be anybody's anchor, so it names a reserved host. */
const NO_PEER = "https://no-peer.invalid"

/** The signed manifest as all replicas serve it. */
export interface SignedManifest {
  /** The signed text, `{"manifest":{…}}`. */
  readonly body: string
  readonly publishedAt: Date
  readonly expiresAt: Date
}

/** The service's own manifest: signed once, stored, and served as the same bytes by every replica. */
export class OwnManifest extends Context.Service<
  OwnManifest,
  {
    /** The manifest to serve; none while there is none that has not expired. */
    readonly current: Effect.Effect<Option.Option<SignedManifest>>
    /** Signs one if there is none, if it was made from other inputs, or at half life. Any replica may, at start. */
    readonly ensure: Effect.Effect<void>
    /** Signs anew at half life; `lease` fences the write. */
    readonly renew: (lease: Lease) => Effect.Effect<void>
  }
>()("cp/identity/OwnManifest") {
  static readonly layer = Layer.effect(
    OwnManifest,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const { aid, signer } = yield* Identity
      const { baseUrl } = (yield* AppConfig).server
      const inputHash = createHash("sha256")
        .update(JSON.stringify([aid, baseUrl]))
        .digest()

      const sign = Effect.map(Clock.currentTimeMillis, (nowMs) => {
        const publishedAt = Math.floor(nowMs / 1000)
        const expiresAt = publishedAt + VALIDITY_SECS
        const manifest = signManifest(
          {
            display_name: NAME,
            identity_hint: {
              type: "pinned_key",
              subject: NAME,
              public_key: aid.slice("aid:pubkey:".length)
            },
            handshake_endpoint: `${baseUrl}/api/aitp/handshake/hello`,
            offered_capabilities: [],
            accepted_trust_anchors: [NO_PEER],
            accepted_identity_types: [],
            published_at: publishedAt,
            expires_at: expiresAt
          },
          randomBytes(16),
          signer,
          aid
        )
        return {
          body: JSON.stringify({ manifest }),
          publishedAt: new Date(publishedAt * 1000),
          expiresAt: new Date(expiresAt * 1000)
        }
      })

      const halfLifePassed = sql`d.published_at < clock_timestamp() - make_interval(secs => ${VALIDITY_SECS / 2}::float8)`

      const ensure = Effect.gen(function* () {
        const { body, expiresAt, publishedAt } = yield* sign
        yield* sql`
          insert into cp_documents as d (kind, body, published_at, expires_at, input_hash)
          values ('manifest', ${body}, ${publishedAt}::timestamptz, ${expiresAt}::timestamptz, ${inputHash}::bytea)
          on conflict (kind) do update set
            body = excluded.body, published_at = excluded.published_at, expires_at = excluded.expires_at,
            input_hash = excluded.input_hash
          where d.input_hash <> excluded.input_hash or ${halfLifePassed}`
      }).pipe(Effect.withSpan("OwnManifest.ensure"), Effect.orDie)

      const renew = Effect.fn("OwnManifest.renew")(function* (lease: Lease) {
        const { body, expiresAt, publishedAt } = yield* sign
        yield* sql`
          update cp_documents d set
            body = ${body}, published_at = ${publishedAt}::timestamptz, expires_at = ${expiresAt}::timestamptz
          where d.kind = 'manifest' and ${halfLifePassed} and ${stillHeld(sql, lease)}`
      }, Effect.orDie)

      const read = sql<SignedManifest>`
        select body, published_at, expires_at from cp_documents where kind = 'manifest'`.pipe(
        Effect.map(([row]) => row),
        Effect.withSpan("OwnManifest.read")
      )
      let known: { readonly manifest: SignedManifest; readonly readAt: number } | undefined

      const current = Effect.gen(function* () {
        const askedAt = performance.now()
        if (known === undefined || askedAt - known.readAt >= MEMO_MS) {
          // A database that does not answer leaves us with the last copy, which its own expiry bounds.
          const manifest = yield* Effect.orElseSucceed(read, () => known?.manifest)
          known = manifest === undefined ? undefined : { manifest, readAt: askedAt }
        }
        const now = yield* Clock.currentTimeMillis
        return Option.filter(
          Option.fromUndefinedOr(known?.manifest),
          ({ expiresAt }) => expiresAt.getTime() > now
        )
      })

      return { current, ensure, renew }
    })
  )

  static readonly layerLoop = Layer.effectDiscard(
    Effect.gen(function* () {
      const { renew } = yield* OwnManifest
      const leases = yield* Leases
      const everyMinute = Schedule.spaced(Duration.minutes(1))
      yield* Effect.forkScoped(
        onBackground(
          leases.hold("own-manifest", (lease) =>
            Effect.repeat(Effect.andThen(renew(lease), succeeded("own-manifest")), everyMinute)
          )
        )
      )
    })
  )
}
