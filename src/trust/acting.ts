import { Effect } from "effect"
import type { SecureRandom } from "effect/crypto"
import type { Principal } from "../access/Principal.ts"
import type { AdminAct } from "../admin-audit/model.ts"

/** Who acts, in which request. */
export interface Acting {
  readonly principal: Principal
  readonly requestId: string
}

/** The audit row of an act. */
export const auditRow = (
  random: SecureRandom.SecureRandom["Service"],
  { principal, requestId }: Acting,
  act: Pick<AdminAct, "action" | "targetId" | "details">
): Effect.Effect<AdminAct> =>
  Effect.map(random.uuidV7(), (id) => ({ ...act, id, actorId: principal.actorId, requestId }))
