import { createHmac, createSecretKey, type KeyObject } from "node:crypto"
import { Redacted } from "effect"
import type { Signer } from "../aitp/signer.ts"
import { contentDigest } from "../http/Document.ts"
import { VERSION } from "../ops/version.ts"
import { signingKey } from "../webhooks/secret.ts"
import type { Outgoing, TargetKeys } from "./model.ts"

const USER_AGENT = `aitp-control-plane/${VERSION}`

/** The keys of a subscription's secrets, the current one first. */
export const targetKeys = (
  secrets: readonly [current: Redacted.Redacted<string>, ...others: ReadonlyArray<Redacted.Redacted<string>>]
): TargetKeys => ({
  legacy: createSecretKey(Buffer.from(Redacted.value(secrets[0]))),
  v1: secrets.map((secret) => createSecretKey(signingKey(secret))),
  secrets
})

const hmac = (key: KeyObject, ...parts: ReadonlyArray<string | Uint8Array>) => {
  const mac = createHmac("sha256", key)
  for (const part of parts) mac.update(part)
  return mac
}

/**
 * Headers of one attempt (contract §8.2): the signatures of Standard Webhooks, symmetric for each valid secret and
 * asymmetric under the service's webhook key, and those that existing receivers check.
 * @param n number of the attempt, from 1
 * @param atSecs Unix time of the attempt
 */
export const attemptHeaders = (
  { eventId, eventType, id }: Outgoing,
  body: Uint8Array,
  n: number,
  atSecs: number,
  keys: TargetKeys,
  signer: Signer
): Readonly<Record<string, string>> => {
  const signed = `${eventId}.${atSecs}.`
  const symmetric = keys.v1.map((key) => `v1,${hmac(key, signed, body).digest("base64")}`)
  const asymmetric = Buffer.from(signer.sign(Buffer.concat([Buffer.from(signed), body]))).toString("base64")
  return {
    "Content-Type": "application/json",
    "User-Agent": USER_AGENT,
    "Content-Digest": contentDigest(body),
    "webhook-id": eventId,
    "webhook-timestamp": String(atSecs),
    "webhook-signature": [...symmetric, `v1a,${asymmetric}`].join(" "),
    "X-Aitp-Event": eventType,
    "X-Aitp-Delivery": id,
    "X-Aitp-Attempt": String(n),
    "X-Aitp-Signature": `sha256=${hmac(keys.legacy, body).digest("hex")}`
  }
}
