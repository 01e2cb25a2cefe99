import { parseUuid } from "../aitp/ids.ts"
import type { ReportedEvent } from "../events/artifact.ts"
import { firstCodePoints, firstText } from "../events/members.ts"

/** A report that a TCT or delegation is revoked, from the event's own time on. */
export interface RevocationContribution {
  /** Lower-case UUID. */
  readonly jti: string
  /** The first 500 code points. */
  readonly reason: string | null
}

const MAX_REASON = 500

const revoking: ReadonlySet<string> = new Set(["tct.revoked", "delegation.revoked"])

/** Whether events of a canonical type report a revocation. */
export const isRevocation = (type: string): boolean => revoking.has(type)

/** What a revocation report says; undefined for other events and without a UUID. It never enters the signed list. */
export const revocationContribution = ({
  item,
  payload,
  type
}: ReportedEvent): RevocationContribution | undefined => {
  if (!isRevocation(type)) return undefined
  const jti = parseUuid(firstText(payload["jti"], payload["child_jti"], item["jti"], item["child_jti"]) ?? "")
  const reason = firstText(payload["reason"], item["reason"])
  return jti && { jti, reason: reason && firstCodePoints(MAX_REASON, reason) }
}
