import { Context, Effect, Layer } from "effect"
import type { WebhookTarget } from "../webhooks/model.ts"
import { WebhookSecrets } from "../webhooks/WebhookSecrets.ts"
import type { Claimed, Target } from "./model.ts"
import { targetKeys } from "./signature.ts"

/** How long decrypted secrets are used before they are read again, ms: by so much the overlap of a rotation is exceeded. */
const MAX_AGE_MS = 10_000

interface Known {
  readonly version: string
  readonly readAt: number
  /** Undefined when the subscription was gone or inactive. */
  readonly target: Target | undefined
}

const targetOf = ({ secrets, url }: WebhookTarget): Target => {
  if (secrets === undefined) return { url, keys: undefined }
  const [current, previous] = secrets
  return { url, keys: targetKeys(previous === undefined ? [current] : [current, previous]) }
}

/** Where deliveries go, with keys made ready: read once per version of a subscription, and every few seconds. */
export class Targets extends Context.Service<
  Targets,
  {
    /** The targets of these deliveries; those of subscriptions that are gone or inactive by now are missing. */
    readonly resolve: (
      rows: ReadonlyArray<Pick<Claimed, "webhookId" | "version">>
    ) => Effect.Effect<ReadonlyMap<string, Target>>
    /** The target of one subscription as it is now, active or not. */
    readonly find: (webhookId: string) => Effect.Effect<Target | undefined>
  }
>()("cp/deliveries/Targets") {
  static readonly layer = Layer.effect(
    Targets,
    Effect.gen(function* () {
      const secrets = yield* WebhookSecrets
      const known = new Map<string, Known>()

      const resolve = Effect.fnUntraced(function* (
        rows: ReadonlyArray<Pick<Claimed, "webhookId" | "version">>
      ) {
        const now = performance.now()
        for (const [id, { readAt }] of known) if (now - readAt >= MAX_AGE_MS) known.delete(id)
        const versions = new Map(rows.map(({ version, webhookId }) => [webhookId, version]))
        const wanted = [...versions].filter(([id, version]) => known.get(id)?.version !== version)
        if (wanted.length > 0) {
          const found = yield* secrets.findTargets(wanted.map(([id]) => id))
          for (const [id, version] of wanted) {
            const target = found.get(id)
            known.set(id, {
              version,
              readAt: now,
              target: target?.active === true ? targetOf(target) : undefined
            })
          }
        }
        const targets = new Map<string, Target>()
        for (const id of versions.keys()) {
          const target = known.get(id)?.target
          if (target !== undefined) targets.set(id, target)
        }
        return targets
      })

      const find = (webhookId: string) =>
        Effect.map(secrets.findTargets([webhookId]), (found) => {
          const target = found.get(webhookId)
          return target === undefined ? undefined : targetOf(target)
        })

      return { resolve, find }
    })
  )
}
