import { Schema } from "effect"
import type { PinnedKey } from "./model.ts"

const AgentKey = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_-]{43,44}$/u, { expected: "a public key" })
)

/**
 * The trust-anchors document of an agent (RFC-AITP-0002 §4), without the members that are the agent's own policy. It is
 * unsigned: worth what the connection is worth that it came over.
 */
export const TrustDocumentBody = Schema.Struct({
  trust_anchors: Schema.Array(
    Schema.Struct({
      issuer: Schema.String.annotate({ format: "uri" }),
      /** Ed25519 (43 characters) and P-256 (44) keys of the cached key set; at least one. */
      keys: Schema.NonEmptyArray(AgentKey)
    })
  ),
  pinned_keys: Schema.Array(
    Schema.Struct({
      /** `aid` of the pin. */
      subject: Schema.NonEmptyString,
      public_key: AgentKey
    })
  )
}).annotate({ identifier: "TrustDocument" })

export type TrustDocumentBody = typeof TrustDocumentBody.Type

/** An issuer and its keys in the document's spelling. */
export interface AnchorKeys {
  readonly issuerUrl: string
  readonly keys: ReadonlyArray<string>
}

/** Issuers are any text that begins like a URL; the document takes URIs (RFC 3986), which are ASCII without blanks. */
const isUri = (text: string): boolean => /^[\x21-\x7e]+$/u.test(text) && URL.canParse(text)

/**
 * The document of anchors and pins. Left out is what it cannot say or should not: issuers that are no URI or have no key
 * of a kind that agents use, pins that have expired or contradict their AID.
 * @param now ms since 1970
 */
export const trustDocument = (
  anchors: ReadonlyArray<AnchorKeys>,
  pins: ReadonlyArray<Pick<PinnedKey, "aid" | "pubkey" | "keyMatchesAid" | "expiresAt">>,
  now: number
): TrustDocumentBody => ({
  trust_anchors: anchors.flatMap(({ issuerUrl, keys: [first, ...others] }) =>
    first !== undefined && isUri(issuerUrl) ? [{ issuer: issuerUrl, keys: [first, ...others] }] : []
  ),
  pinned_keys: pins
    .filter(
      ({ expiresAt, keyMatchesAid }) =>
        keyMatchesAid !== false && (expiresAt === null || expiresAt.getTime() > now)
    )
    .map(({ aid, pubkey }) => ({ subject: aid, public_key: pubkey }))
})
