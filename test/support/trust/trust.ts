import { Effect, Layer, Option } from "effect"
import * as Dns from "effect/net/Dns"
import { platform } from "../../../src/access/Principal.ts"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Egress } from "../../../src/egress/Egress.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { Anchoring, type AnchorRequest } from "../../../src/trust/Anchoring.ts"
import { KeySetRefresh } from "../../../src/trust/KeySetRefresh.ts"
import { KeySets } from "../../../src/trust/KeySets.ts"
import { PinnedKeys } from "../../../src/trust/PinnedKeys.ts"
import { Pinning } from "../../../src/trust/Pinning.ts"
import { TrustAnchors } from "../../../src/trust/TrustAnchors.ts"
import { TrustDocument } from "../../../src/trust/TrustDocument.ts"
import { TestDb } from "../db/TestDb.ts"
import { testPlatform } from "../TestPlatform.ts"

/** Refreshes of another replica over the same stores; the given variables. */
export const refreshWith = (env: Readonly<Record<string, string>>) =>
  KeySetRefresh.layer.pipe(
    Layer.provide(Egress.layerNoDeps),
    Layer.provide(Dns.layerStatic({ hosts: { "issuer.test": ["127.0.0.1"] } })),
    Layer.provide(testPlatform(env)),
    Layer.fresh
  )

/** As a replica runs that may reach issuers on loopback. */
export const nearby = { WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8", JWKS_FETCH_TIMEOUT_MS: "1000" }

/** Anchors, pins and their refresh over a migrated schema of the suite's own. */
export const TrustSuite = Layer.mergeAll(
  Anchoring.layer,
  Pinning.layer,
  TrustDocument.layer,
  refreshWith(nearby)
).pipe(
  Layer.provideMerge(
    Layer.mergeAll(IdempotencyKeys.layer, KeySets.layer, PinnedKeys.layer, TrustAnchors.layer)
  ),
  Layer.provideMerge(testPlatform()),
  Layer.provideMerge(TestDb)
)

export const operator = { principal: platform("operator-key"), requestId: "request-1" }

let anchored = 0

/** An anchor in a namespace of its own unless one is given. */
export const anchor = (request: AnchorRequest) =>
  Effect.flatMap(Anchoring, ({ create }) =>
    Effect.orDie(create({ namespace: `n-${anchored++}`, ...request }, undefined, operator))
  )

/** An anchor as it is now. */
export const current = (id: string) =>
  Effect.flatMap(TrustAnchors, ({ findById }) => Effect.map(findById(id, visibleToAll), Option.getOrThrow))

/** The cached key set as it is served; null while there is none. */
export const cached = (id: string) =>
  Effect.flatMap(KeySets, ({ findByAnchor }) =>
    Effect.map(findByAnchor(id, visibleToAll), (found) => Option.getOrThrow(found).text)
  )
