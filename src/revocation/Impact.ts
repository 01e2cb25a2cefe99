import { Context, Effect, Layer } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { DelegationTrees } from "../delegations/DelegationTrees.ts"
import { tctRecord } from "../tcts/record.ts"
import { Tcts } from "../tcts/Tcts.ts"

/** TCTs shown. */
const MAX_TCTS = 1000

/** Read model: what revoking an id would revoke of what was observed. */
export class Impact extends Context.Service<
  Impact,
  {
    /** JSON text in the form of the API's `RevocationImpact`, for an id that need not be known. */
    readonly of: (jti: string, visibility: Visibility) => Effect.Effect<string>
  }
>()("cp/revocation/Impact") {
  static readonly layer = Layer.effect(
    Impact,
    Effect.gen(function* () {
      const tcts = yield* Tcts
      const trees = yield* DelegationTrees

      const of = Effect.fn("Impact.of")(function* (jti: string, visibility: Visibility) {
        const withThisId = tcts.list(
          {
            issuer: undefined,
            subject: undefined,
            audience: undefined,
            capability: undefined,
            sessionId: undefined,
            jti,
            active: false,
            limit: MAX_TCTS,
            offset: 0,
            after: undefined
          },
          visibility
        )
        const [found, tree] = yield* Effect.all([withThisId, trees.tree(jti, visibility)], {
          concurrency: "unbounded"
        })
        const shown = found.slice(0, MAX_TCTS).map(tctRecord)
        const counts = { tcts: shown.length, delegations: tree.count }
        return (
          `{"jti":"${jti}","tcts":${JSON.stringify(shown)},"delegations":${tree.json},` +
          `"counts":${JSON.stringify(counts)}${tree.truncated ? ',"truncated":true' : ""}}`
        )
      })

      return { of }
    })
  )
}
