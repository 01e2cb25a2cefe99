import { createHash, createHmac, createPublicKey, verify } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { Webhook } from "standardwebhooks"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { ed25519Signer } from "../../../src/aitp/signer.ts"
import { attemptHeaders, targetKeys } from "../../../src/deliveries/signature.ts"
import { keyId } from "../../../src/deliveries/SigningKey.ts"
import { generateSecret } from "../../../src/webhooks/secret.ts"

const signer = ed25519Signer(new Uint8Array(32).fill(7))
const body = '{"deliveryId":"d","eventType":"tct.revoked","payload":{"naïve":"✓"},"enqueuedAt":"t"}'
const delivery = {
  id: "5e0e6f5c-3c1f-4f4e-8d1c-8f2f6b1f9f10",
  webhookId: "w",
  eventId: "01a20534-6ac1-70f4-abbc-6ee7841cccea",
  eventType: "tct.revoked",
  body,
  attempts: 0,
  retriesFrom: 0
}
const nowSecs = Math.floor(Date.now() / 1000)

const headersWith = (...secrets: readonly [string, ...ReadonlyArray<string>]) => {
  const [current, ...others] = secrets.map((secret) => Redacted.make(secret))
  assert(current !== undefined)
  return attemptHeaders(delivery, Buffer.from(body), 3, nowSecs, targetKeys([current, ...others]), signer)
}

const signatures = (headers: Readonly<Record<string, string>>) =>
  (headers["webhook-signature"] ?? "").split(" ")

describe("the headers of an attempt", () => {
  const secret = Redacted.value(generateSecret())

  it("verify with the Standard Webhooks library, and not with another secret or body", () => {
    const headers = { ...headersWith(secret) }
    assert.deepEqual(new Webhook(secret).verify(body, headers), JSON.parse(body))
    assert.throws(() => new Webhook(Redacted.value(generateSecret())).verify(body, headers))
    assert.throws(() => new Webhook(secret).verify(`${body} `, headers))
    assert.throws(() => new Webhook(secret).verify(body, { ...headers, "webhook-id": "another" }))
  })

  it("verify with either secret while one is being replaced", () => {
    const other = Redacted.value(generateSecret())
    const headers = { ...headersWith(secret, other) }
    assert.lengthOf(signatures(headers), 3)
    for (const valid of [secret, other]) new Webhook(valid).verify(body, headers)
  })

  it("sign with the bytes of a secret that is no Standard Webhooks secret", () => {
    const headers = { ...headersWith("just some text") }
    new Webhook("just some text", { format: "raw" }).verify(body, headers)
  })

  it("carry the signature that existing receivers check: the current secret as it is shown, over the body", () => {
    const expected = createHmac("sha256", secret).update(body).digest("hex")
    assert.strictEqual(headersWith(secret, "another one")["X-Aitp-Signature"], `sha256=${expected}`)
  })

  it("carry an Ed25519 signature over id, time and body", () => {
    const asymmetric = signatures(headersWith(secret)).at(-1) ?? ""
    assert.match(asymmetric, /^v1a,/)
    const x = encodeBase64url(signer.raw)
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" })
    const signed = Buffer.from(`${delivery.eventId}.${nowSecs}.${body}`)
    assert.isTrue(verify(null, signed, key, Buffer.from(asymmetric.slice(4), "base64")))
  })

  it("say which event, delivery and attempt it is, and give the digest of the body", () => {
    const headers = headersWith(secret)
    const digest = createHash("sha256").update(body).digest("base64")
    assert.deepInclude(headers, {
      "Content-Type": "application/json",
      "Content-Digest": `sha-256=:${digest}:`,
      "webhook-id": delivery.eventId,
      "webhook-timestamp": String(nowSecs),
      "X-Aitp-Event": "tct.revoked",
      "X-Aitp-Delivery": delivery.id,
      "X-Aitp-Attempt": "3"
    })
    assert.match(headers["User-Agent"] ?? "", /^aitp-control-plane\/\d+\.\d+\.\d+/)
  })
})

describe("the id of a webhook key", () => {
  it("is wh- and its thumbprint", () => {
    // RFC 8037, appendix A.3
    const raw = Buffer.from("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "base64url")
    assert.strictEqual(keyId(raw), "wh-kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
  })
})
