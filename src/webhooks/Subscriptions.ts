import { Clock, Context, Effect, Layer, Option, Redacted, Result } from "effect"
import { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import { AppConfig } from "../config.ts"
import { Egress } from "../egress/Egress.ts"
import type { TargetRefused } from "../egress/model.ts"
import { webhookTargets } from "../egress/policy.ts"
import { type Completion, ReservationLost } from "../idempotency/model.ts"
import { DEFAULT_GRACE_SECS, type Webhook, type WebhookFilter, WebhookNotFound } from "./model.ts"
import { generateSecret, secretHint } from "./secret.ts"
import { type KnownSecrets, WebhookSecrets } from "./WebhookSecrets.ts"
import { type SecretChange, type WebhookChanges, Webhooks } from "./Webhooks.ts"

/** Who acts, in which request. */
export interface Acting {
  readonly principal: Principal
  readonly requestId: string
}

/** What a subscription shall be; absent members get their defaults. */
export interface CreateRequest {
  readonly url: string
  readonly events?: ReadonlyArray<string>
  readonly filter?: WebhookFilter
  /** Empty is absent. */
  readonly secret?: string
  readonly active?: boolean
}

/** What shall become different. */
export type UpdateRequest = Partial<CreateRequest>

/** A subscription with its secret, which is shown this once. */
export interface Created {
  readonly webhook: Webhook
  readonly secret: Redacted.Redacted<string>
}

export interface RotateRequest {
  /** Empty or absent: one is made. */
  readonly secret?: string
  /** How long the secret that is replaced stays valid; a day unless given. */
  readonly graceSecs?: number
}

export interface Rotated {
  readonly id: string
  readonly secret: Redacted.Redacted<string>
  /** Null when no other secret is valid any more. */
  readonly previousSecretExpiresAt: Date | null
}

/** Each lost race is another rotation of the same subscription that was done; so many at one moment are a fault. */
const MAX_TRIES = 100

/** What operators do with subscriptions. URLs are judged before anything is written. */
export class Subscriptions extends Context.Service<
  Subscriptions,
  {
    /** @param completionOf completes the idempotency key of the request; none without a key */
    readonly create: (
      request: CreateRequest,
      acting: Acting,
      completionOf: (created: Created) => Completion | undefined
    ) => Effect.Effect<Created, TargetRefused | ReservationLost>
    /**
     * A secret that is not the current one becomes it; the one before stays valid for a day. An empty one is no change.
     * What becomes active is no longer disabled.
     */
    readonly update: (
      id: string,
      request: UpdateRequest,
      acting: Acting
    ) => Effect.Effect<Webhook, WebhookNotFound | TargetRefused>
    /** Of any earlier secrets at most one stays valid. Repeated with the same secret, it only sets the time anew. */
    readonly rotateSecret: (
      id: string,
      request: RotateRequest,
      acting: Acting
    ) => Effect.Effect<Rotated, WebhookNotFound>
    /** Nothing is delivered any more when this succeeds; deliveries are removed later. */
    readonly remove: (id: string, acting: Acting) => Effect.Effect<void, WebhookNotFound>
  }
>()("cp/webhooks/Subscriptions") {
  static readonly layer = Layer.effect(
    Subscriptions,
    Effect.gen(function* () {
      const egress = yield* Egress
      const random = yield* SecureRandom.SecureRandom
      const secrets = yield* WebhookSecrets
      const webhooks = yield* Webhooks
      const policy = webhookTargets(yield* AppConfig)

      const actOf = (action: string, id: string, details: Record<string, unknown>, acting: Acting) =>
        Effect.map(random.uuidV7(), (actId) => ({
          id: actId,
          action,
          actorId: acting.principal.actorId,
          targetId: id,
          details,
          requestId: acting.requestId
        }))

      const create = Effect.fn("Subscriptions.create")(function* (
        request: CreateRequest,
        acting: Acting,
        completionOf: (created: Created) => Completion | undefined
      ) {
        const { active = true, events = [], filter = {}, url } = request
        yield* egress.judge(url, policy)
        const secret = givenSecret(request.secret) ?? generateSecret()
        const createdAt = new Date(yield* Clock.currentTimeMillis)
        const shared = { id: yield* random.uuidV7(), url, events, filter, active, createdAt }
        const webhook: Webhook = {
          ...shared,
          secretHint: secretHint(secret),
          disabledAt: null,
          disabledReason: null,
          breaker: "closed",
          updatedAt: createdAt
        }
        const { owner, visibility } = acting.principal
        const organizationId = visibility._tag === "all" ? null : owner
        const act = yield* actOf("webhook.create", shared.id, { url, events }, acting)
        const created = { webhook, secret }
        const stored = yield* webhooks.create(
          { ...shared, secret, organizationId },
          act,
          completionOf(created)
        )
        return stored ? created : yield* new ReservationLost()
      })

      /** Updates with changes that are made knowing the current secret, anew whenever another one comes between. */
      const updateKnowing = Effect.fnUntraced(function* <E>(
        id: string,
        changesOf: (known: KnownSecrets) => Effect.Effect<WebhookChanges, E>,
        action: { readonly name: string; readonly details: Record<string, unknown> },
        acting: Acting
      ) {
        const { visibility } = acting.principal
        const act = yield* actOf(action.name, id, action.details, acting)
        for (let tries = 0; tries < MAX_TRIES; tries += 1) {
          const known = yield* secrets.findById(id, visibility)
          if (Option.isNone(known)) return yield* new WebhookNotFound()
          const outcome = yield* webhooks.update(id, yield* changesOf(known.value), act, visibility)
          if (outcome._tag === "NotFound") return yield* new WebhookNotFound()
          if (outcome._tag === "Updated") return outcome
        }
        return yield* Effect.die(new Error(`the secret of a webhook changed ${MAX_TRIES} times in a row`))
      })

      const update = Effect.fn("Subscriptions.update")(function* (
        id: string,
        { secret: text, ...changes }: UpdateRequest,
        acting: Acting
      ) {
        const secret = givenSecret(text)
        const judged = changes.url === undefined ? Effect.void : egress.judge(changes.url, policy)
        const { webhook } = yield* updateKnowing(
          id,
          (known) =>
            secret === undefined || isCurrent(known, secret)
              ? Effect.as(judged, changes)
              : Effect.as(judged, { ...changes, secret: replacing(known, secret, DEFAULT_GRACE_SECS) }),
          { name: "webhook.update", details: {} },
          acting
        )
        return webhook
      })

      const rotateSecret = Effect.fn("Subscriptions.rotateSecret")(function* (
        id: string,
        { graceSecs = DEFAULT_GRACE_SECS, secret: text }: RotateRequest,
        acting: Acting
      ) {
        const secret = givenSecret(text) ?? generateSecret()
        const { previousSecretUntil } = yield* updateKnowing(
          id,
          (known) => Effect.succeed({ secret: replacing(known, secret, graceSecs) }),
          { name: "webhook.rotate-secret", details: { graceSecs } },
          acting
        )
        return { id, secret, previousSecretExpiresAt: previousSecretUntil }
      })

      const remove = Effect.fn("Subscriptions.remove")(function* (id: string, acting: Acting) {
        const act = yield* actOf("webhook.delete", id, {}, acting)
        const removed = yield* webhooks.remove(id, act, acting.principal.visibility)
        if (!removed) return yield* new WebhookNotFound()
      })

      return { create, update, rotateSecret, remove }
    })
  )
}

const givenSecret = (text: string | undefined) =>
  text === undefined || text === "" ? undefined : Redacted.make(text)

const isCurrent = ({ open }: KnownSecrets, secret: Redacted.Redacted<string>): boolean =>
  Result.isSuccess(open) && Redacted.value(open.success.current) === Redacted.value(secret)

/**
 * Makes a secret the current one. The one it replaces becomes the previous one; when it replaces itself the previous one
 * stays. Secrets that cannot be decrypted are lost: rotation is the way out of that.
 */
const replacing = (
  known: KnownSecrets,
  secret: Redacted.Redacted<string>,
  graceSecs: number
): SecretChange => {
  const open = Result.getOrUndefined(known.open)
  const previous = isCurrent(known, secret) ? open?.previous : open?.current
  return { secret, replaces: known.stored, previous: graceSecs > 0 ? previous : undefined, graceSecs }
}
