import { Clock, Context, Effect, Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { enrollingAgent } from "../access/Principal.ts"
import { keyOfAid } from "../aitp/aid.ts"
import { encodeBase64url } from "../aitp/base64url.ts"
import { isJsonObject, type JsonObject } from "../aitp/json.ts"
import { marginSecs } from "../aitp/manifest-policy.ts"
import { AppConfig } from "../config.ts"
import { Ingest } from "../events/Ingest.ts"
import { ownEvent } from "../events/own-event.ts"
import { completionWith, type Reservation, ReservationLost } from "../idempotency/model.ts"
import { Secrets } from "../identity/Secrets.ts"
import { Agents, type Registered } from "./Agents.ts"
import { type EnrollmentClaims, readToken } from "./enrollment-token.ts"
import { type AcceptedManifest, acceptManifest, openEnvelope } from "./manifest-check.ts"
import { isNamespace, MAX_NAMESPACE } from "./namespace.ts"
import {
  EnrollmentBodyInvalid,
  EnrollmentUnavailable,
  ManifestOutdated,
  ManifestTooOld,
  ManifestUnacceptable,
  OtherSpellingRegistered,
  TokenSpent,
  TokenUnusable
} from "./model.ts"

const DEFAULT_NAMESPACE = "default"

export interface RegistrationRequest {
  /** The envelope as received. */
  readonly body: Uint8Array
  /** The enrollment token; empty when none came. */
  readonly token: string
  /** `X-Aitp-Namespace`, checked by the caller; wins over the manifest's own hint. */
  readonly namespace: string | undefined
  readonly requestId: string
  /** Of the request's idempotency key; completed together with the registration. */
  readonly reservation?: Reservation | undefined
}

export interface RegisteredAgent extends Registered {
  readonly aid: string
  readonly displayName: string
  readonly namespace: string
  readonly conformanceFindings: ReadonlyArray<string>
}

/** Second half of how agents come in: a one-time token is exchanged for a place in the registry. */
export class Registration extends Context.Service<
  Registration,
  {
    /**
     * Spends a token and registers the manifest it was minted for; the manifest is verified again and nothing else is
     * acted upon. Of any number of simultaneous calls with one token exactly one succeeds; a failure does not spend it.
     */
    readonly register: (
      request: RegistrationRequest
    ) => Effect.Effect<
      RegisteredAgent,
      | EnrollmentBodyInvalid
      | ManifestUnacceptable
      | ManifestTooOld
      | EnrollmentUnavailable
      | TokenUnusable
      | TokenSpent
      | ManifestOutdated
      | OtherSpellingRegistered
      | ReservationLost
    >
    /** SHA-256, hex, of a token that was minted here, though it may be spent or expired; none for any other text. */
    readonly credentialHash: (token: string) => string | undefined
  }
>()("cp/registry/Registration") {
  static readonly layer = Layer.effect(
    Registration,
    Effect.gen(function* () {
      const { keys } = yield* AppConfig
      const agents = yield* Agents
      const ingest = yield* Ingest
      const random = yield* SecureRandom.SecureRandom
      const { enrollmentSecret } = yield* Secrets
      const profile = keys.enrollmentProfile

      const register = Effect.fn("Registration.register")(function* (request: RegistrationRequest) {
        if (Option.isNone(enrollmentSecret)) return yield* new EnrollmentUnavailable()
        const receivedAt = yield* Clock.currentTimeMillis
        const now = Math.floor(receivedAt / 1000)
        const { findings, manifest: wire } = yield* Effect.fromResult(
          openEnvelope(request.body, (message) => new EnrollmentBodyInvalid({ message }))
        )
        const { aid } = wire
        if (typeof aid !== "string" || aid === "") {
          return yield* new EnrollmentBodyInvalid({ message: "manifest.aid must be a non-empty string" })
        }
        const claims = readToken(enrollmentSecret.value, request.token, now)
        if (claims === undefined || claims.sub !== aid) return yield* new TokenUnusable()
        const hint = yield* namespaceHint(wire)
        yield* checkLifetime(wire, now)
        const accepted = yield* Effect.fromResult(acceptManifest(wire, profile, now))
        if (encodeBase64url(accepted.digest) !== claims.mh) return yield* new TokenUnusable()
        if (profile === "strict" && findings.length > 0) {
          const message = "the envelope has members beside manifest"
          return yield* new ManifestUnacceptable({
            message,
            verifyCode: "malformed",
            protocolCode: "UNKNOWN_FIELD"
          })
        }
        const namespace = request.namespace ?? hint ?? DEFAULT_NAMESPACE
        return yield* store({
          request,
          receivedAt,
          claims,
          accepted: { ...accepted, findings: [...accepted.findings, ...findings] },
          namespace
        })
      })

      const store = Effect.fnUntraced(function* (given: Checked) {
        const { accepted, claims, namespace, receivedAt, request } = given
        const { manifest } = accepted
        const { aid } = manifest
        const key = keyOfAid(aid)
        const displayName = manifest.display_name ?? aid
        const principal = enrollingAgent(aid, request.token)
        const manifestSha256 = Buffer.from(accepted.digest).toString("hex")
        const [eventId, actId] = [yield* random.uuidV7(), yield* random.uuidV7()]
        let reEnrolled = false

        const makeEvent = Effect.gen(function* () {
          const known = yield* agents.findByKey(key)
          reEnrolled = Option.isSome(known) && known.value.status !== "removed"
          const payload = { displayName, namespace, reEnrolled, manifestSha256 }
          return [
            ownEvent({ id: eventId, type: "agent.registered", ts: receivedAt, aidA: aid, namespace, payload })
          ]
        })
        // What `register_agent_v2` adds to these makes them what the answer is rendered from.
        const facts = { aid, displayName, namespace, conformanceFindings: accepted.findings }
        const completion = request.reservation && completionWith(request.reservation, facts)
        const outcome = yield* ingest.act({ principal, receivedAt }, makeEvent, (sealed, directoryVersion) =>
          agents.register(
            {
              aid,
              key,
              displayName,
              handshakeEndpoint: manifest.handshake_endpoint,
              offeredCaps: manifest.offered_capabilities,
              manifestJson: Buffer.from(request.body).toString("utf8"),
              manifestSha256: accepted.digest,
              publishedAt: new Date(manifest.published_at * 1000),
              expiresAt: new Date(manifest.expires_at * 1000),
              conformanceFindings: accepted.findings,
              namespace,
              tokenJti: claims.jti,
              tokenExpiresAt: new Date(claims.exp * 1000),
              reEnrolled
            },
            sealed,
            directoryVersion,
            {
              id: actId,
              action: "agent.register",
              actorId: principal.actorId,
              targetId: aid,
              details: { displayName, namespace, jti: claims.jti, manifestSha256 },
              requestId: request.requestId
            },
            completion
          )
        )
        switch (outcome._tag) {
          case "Registered": {
            const { lastEnrolledAt, registeredAt } = outcome
            return { ...facts, registeredAt, lastEnrolledAt }
          }
          case "Replayed":
            return yield* new TokenSpent()
          case "Outdated":
            return yield* new ManifestOutdated()
          case "OtherSpelling":
            return yield* new OtherSpellingRegistered({ aid: outcome.aid })
          case "ReservationLost":
            return yield* new ReservationLost()
        }
      })

      const credentialHash = (token: string) => {
        const minted = Option.getOrUndefined(enrollmentSecret)
        const claims = minted && readToken(minted, token, 0) // at a time when none had expired
        return claims && enrollingAgent(claims.sub, token).credentialHash
      }

      return { register, credentialHash }
    })
  )
}

/** A request that has passed every check but those that need the registry's own rows. */
interface Checked {
  readonly request: RegistrationRequest
  /** ms since 1970. */
  readonly receivedAt: number
  readonly claims: EnrollmentClaims
  readonly accepted: AcceptedManifest
  readonly namespace: string
}

/** `extensions.namespace`, an unregistered hint of older agents; empty counts as absent. */
const namespaceHint = (wire: JsonObject): Effect.Effect<string | undefined, EnrollmentBodyInvalid> => {
  const hint = isJsonObject(wire["extensions"]) ? wire["extensions"]["namespace"] : undefined
  if (hint === undefined || hint === "") return Effect.undefined
  if (typeof hint !== "string" || !isNamespace(hint)) {
    const message = `manifest.extensions.namespace must be text of at most ${MAX_NAMESPACE} characters`
    return Effect.fail(new EnrollmentBodyInvalid({ message }))
  }
  return Effect.succeed(hint)
}

/** Before the full verification, so that an agent that only has to re-sign learns just that. */
const checkLifetime = (wire: JsonObject, now: number): Effect.Effect<void, ManifestTooOld> => {
  const expiresAt = wire["expires_at"]
  if (typeof expiresAt !== "number" || expiresAt >= now + marginSecs) return Effect.void
  return Effect.fail(
    expiresAt <= now
      ? new ManifestTooOld({
          message: "manifest has expired",
          verifyCode: "expired",
          protocolCode: "MANIFEST_EXPIRED"
        })
      : new ManifestTooOld({
          message: `manifest expires in less than ${marginSecs} seconds`,
          protocolCode: "MANIFEST_TTL_TOO_SHORT"
        })
  )
}
