/**
 * Why a document must not be used:
 *
 * - `MALFORMED`: not the documented format.
 * - `ISSUER`: not about the control plane it was expected from.
 * - `SIGNATURE`: the signature does not verify under the issuer's key.
 * - `EXPIRED`, `STALE`: past `expires_at`, or older than the reader allows; it counts as absent.
 * - `CHAIN`: a delta that does not follow what is held, or whose result is not what was signed; take the full list.
 */
export type RefusalCode = "MALFORMED" | "ISSUER" | "SIGNATURE" | "EXPIRED" | "STALE" | "CHAIN"

/** Thrown by every reader of this folder. A refused document must never be read as "not revoked". */
export class RevocationRefused extends Error {
  override readonly name = "RevocationRefused"
  readonly code: RefusalCode

  constructor(code: RefusalCode, message: string) {
    super(message)
    this.code = code
  }
}
