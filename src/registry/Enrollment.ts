import { Clock, Context, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { keyOfAid } from "../aitp/aid.ts"
import { encodeBase64url } from "../aitp/base64url.ts"
import { AppConfig } from "../config.ts"
import { Secrets } from "../identity/Secrets.ts"
import { Agents, type KnownAgent } from "./Agents.ts"
import { type EnrollmentClaims, mintToken, TOKEN_TTL_SECS } from "./enrollment-token.ts"
import { type AcceptedManifest, acceptManifest, openEnvelope } from "./manifest-check.ts"
import {
  type EnrollmentBodyInvalid,
  EnrollmentUnavailable,
  ManifestOutdated,
  type ManifestUnacceptable,
  OtherSpellingRegistered
} from "./model.ts"

/** Answer of a successful enrolment. */
export interface Enrolled {
  /** Opaque one-time token for the registration. */
  readonly token: string
  readonly claims: EnrollmentClaims
  readonly manifestSha256: Uint8Array
  readonly conformanceFindings: ReadonlyArray<string>
}

/** First half of how agents come in: a verified manifest is exchanged for a one-time token bound to it. */
export class Enrollment extends Context.Service<
  Enrollment,
  {
    /** Verifies a received manifest envelope and mints a token. Writes nothing. */
    readonly enroll: (
      body: Uint8Array
    ) => Effect.Effect<
      Enrolled,
      | EnrollmentBodyInvalid
      | ManifestUnacceptable
      | EnrollmentUnavailable
      | ManifestOutdated
      | OtherSpellingRegistered
    >
  }
>()("cp/registry/Enrollment") {
  static readonly layer = Layer.effect(
    Enrollment,
    Effect.gen(function* () {
      const { keys } = yield* AppConfig
      const agents = yield* Agents
      const random = yield* SecureRandom.SecureRandom
      const { enrollmentSecret } = yield* Secrets

      /** Refuses early what registration would refuse. Registration decides: an unreachable database is no reason. */
      const checkKnown = Effect.fnUntraced(function* ({ digest, manifest }: AcceptedManifest) {
        const known = yield* Effect.catchCause(
          agents.findByKey(keyOfAid(manifest.aid)),
          () => Effect.succeedNone
        )
        if (Option.isNone(known)) return
        const { aid } = known.value
        if (aid !== manifest.aid) return yield* new OtherSpellingRegistered({ aid })
        if (isOutdated(known.value, manifest.published_at, digest)) return yield* new ManifestOutdated()
      })

      const enroll = Effect.fn("Enrollment.enroll")(function* (body: Uint8Array) {
        if (Option.isNone(enrollmentSecret)) return yield* new EnrollmentUnavailable()
        const { manifest: wire } = yield* Effect.fromResult(openEnvelope(body))
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        const accepted = yield* Effect.fromResult(acceptManifest(wire, keys.enrollmentProfile, now))
        yield* checkKnown(accepted)
        const claims: EnrollmentClaims = {
          sub: accepted.manifest.aid,
          scope: "register",
          iat: now,
          exp: now + TOKEN_TTL_SECS,
          jti: yield* random.uuidV4(),
          mh: encodeBase64url(accepted.digest)
        }
        return {
          token: mintToken(enrollmentSecret.value, claims),
          claims,
          manifestSha256: accepted.digest,
          conformanceFindings: accepted.findings
        }
      })

      return { enroll }
    })
  )
}

/** Whether a known agent's manifest rules the given one out: newer, or the very one it was taken out of service with. */
const isOutdated = (known: KnownAgent, publishedAtSecs: number, digest: Uint8Array): boolean =>
  known.manifestPublishedAt.getTime() > publishedAtSecs * 1000 ||
  (known.status !== "active" &&
    known.status !== "expired" &&
    Buffer.compare(known.manifestSha256, digest) === 0)
