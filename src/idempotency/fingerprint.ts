import { createHash } from "node:crypto"

/** What makes a request the same request. */
export interface Fingerprinted {
  readonly method: string
  /** Path as sent: a key used on another resource of the same route is used for another request. */
  readonly path: string
  /** `X-Aitp-Namespace`; empty and absent are the same. */
  readonly namespace: string | undefined
  /** As received. */
  readonly body: Uint8Array
}

/** SHA-256 over a request; the line before the body cannot run into it. */
export const fingerprint = ({ body, method, namespace, path }: Fingerprinted): Uint8Array =>
  createHash("sha256")
    .update(JSON.stringify([method, path, namespace?.trim() ?? ""]))
    .update("\n")
    .update(body)
    .digest()
