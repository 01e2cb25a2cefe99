import { Context, Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { AppConfig } from "../config.ts"
import { completionWith, type Reservation, ReservationLost } from "../idempotency/model.ts"
import { type Acting, auditRow } from "./acting.ts"
import {
  DEFAULT_NAMESPACE,
  NamespaceNotVisible,
  type TrustAnchor,
  TrustAnchorExists,
  TrustAnchorNotFound,
  TrustRefused
} from "./model.ts"
import { type TrustAnchorChanges, TrustAnchors } from "./TrustAnchors.ts"

/** An anchor as asked for; absent members get their defaults. */
export interface AnchorRequest {
  readonly issuerUrl: string
  /** Empty is `default`. */
  readonly namespace?: string
  /** Empty is null. */
  readonly jwksUrl?: string | null
  readonly label?: string | null
}

/** What operators do with trust anchors. Nothing is fetched here, see `KeySetRefresh`. */
export class Anchoring extends Context.Service<
  Anchoring,
  {
    /** The reservation, if any, is completed together with the creation. */
    readonly create: (
      request: AnchorRequest,
      reservation: Reservation | undefined,
      acting: Acting
    ) => Effect.Effect<TrustAnchor, TrustAnchorExists | TrustRefused | NamespaceNotVisible | ReservationLost>
    /** Absent members stay as they are; null, and for `jwksUrl` the empty text, clear them. */
    readonly update: (
      id: string,
      request: TrustAnchorChanges,
      acting: Acting
    ) => Effect.Effect<TrustAnchor, TrustAnchorNotFound | TrustAnchorExists | TrustRefused>
    readonly remove: (id: string, acting: Acting) => Effect.Effect<void, TrustAnchorNotFound>
  }
>()("cp/trust/Anchoring") {
  static readonly layer = Layer.effect(
    Anchoring,
    Effect.gen(function* () {
      const anchors = yield* TrustAnchors
      const random = yield* SecureRandom.SecureRandom
      const { enrollmentProfile } = (yield* AppConfig).keys

      /** RFC-AITP-0002 knows issuers by https only. */
      const checkIssuer = (issuerUrl: string) =>
        enrollmentProfile === "strict" && !issuerUrl.startsWith("https:")
          ? Effect.fail(new TrustRefused({ message: "issuerUrl: the strict profile takes https only" }))
          : Effect.void

      const create = Effect.fn("Anchoring.create")(function* (
        { issuerUrl, jwksUrl, label = null, namespace }: AnchorRequest,
        reservation: Reservation | undefined,
        acting: Acting
      ) {
        yield* checkIssuer(issuerUrl)
        const given = {
          id: yield* random.uuidV7(),
          namespace: namespace || DEFAULT_NAMESPACE,
          issuerUrl,
          jwksUrl: jwksUrl || null,
          label,
          addedBy: acting.principal.actorId
        }
        const act = yield* auditRow(random, acting, {
          action: "trust-anchor.create",
          targetId: given.id,
          details: { namespace: given.namespace, issuerUrl }
        })
        // With the times that SQL adds these are the record.
        const facts = { ...given, jwksCachedAt: null, jwksStale: false, jwksError: null }
        const outcome = yield* anchors.create(
          given,
          act,
          reservation && completionWith(reservation, facts),
          acting.principal.visibility
        )
        switch (outcome._tag) {
          case "Created":
            return outcome.anchor
          case "Exists":
            return yield* new TrustAnchorExists({ id: outcome.id })
          case "NamespaceNotVisible":
            return yield* new NamespaceNotVisible()
          case "ReservationLost":
            return yield* new ReservationLost()
        }
      })

      const update = Effect.fn("Anchoring.update")(function* (
        id: string,
        { issuerUrl, jwksUrl, label }: TrustAnchorChanges,
        acting: Acting
      ) {
        if (issuerUrl !== undefined) yield* checkIssuer(issuerUrl)
        const act = yield* auditRow(random, acting, {
          action: "trust-anchor.update",
          targetId: id,
          details: {}
        })
        const outcome = yield* anchors.update(
          id,
          { issuerUrl, jwksUrl: jwksUrl === "" ? null : jwksUrl, label },
          act,
          acting.principal.visibility
        )
        switch (outcome._tag) {
          case "Updated":
            return outcome.anchor
          case "Exists":
            return yield* new TrustAnchorExists({ id: outcome.id })
          case "NotFound":
            return yield* new TrustAnchorNotFound()
        }
      })

      const remove = Effect.fn("Anchoring.remove")(function* (id: string, acting: Acting) {
        const act = yield* auditRow(random, acting, {
          action: "trust-anchor.delete",
          targetId: id,
          details: {}
        })
        const removed = yield* anchors.remove(id, act, acting.principal.visibility)
        if (!removed) return yield* new TrustAnchorNotFound()
      })

      return { create, update, remove }
    })
  )
}
