import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { discoveryUrl, readJwksUri } from "../../../src/trust/discovery.ts"

const read = (document: unknown, issuer = "https://issuer.example") =>
  readJwksUri(Buffer.from(JSON.stringify(document)), issuer)

describe("discovery", () => {
  it("is below the issuer, with or without a final slash", () => {
    const place = ".well-known/openid-configuration"
    assert.strictEqual(discoveryUrl("https://issuer.example"), `https://issuer.example/${place}`)
    assert.strictEqual(discoveryUrl("https://issuer.example/"), `https://issuer.example/${place}`)
    assert.strictEqual(discoveryUrl("https://issuer.example/a/b"), `https://issuer.example/a/b/${place}`)
    assert.strictEqual(discoveryUrl("https://issuer.example//"), `https://issuer.example//${place}`)
  })

  it("is nowhere for issuers that cannot have one", () => {
    for (const issuer of [
      "https://",
      "https://a b",
      "https://issuer.example?a=1",
      "https://issuer.example/#x"
    ]) {
      assert.isUndefined(discoveryUrl(issuer), issuer)
    }
  })

  it("takes the document of this very issuer only", () => {
    const jwks_uri = "https://elsewhere.example/keys"
    const sound = { issuer: "https://issuer.example", jwks_uri }
    assert.strictEqual(Result.getOrThrow(read(sound)), jwks_uri)
    assert.strictEqual(
      Result.getOrThrow(read({ ...sound, issuer: "https://issuer.example/" }, "https://issuer.example/")),
      jwks_uri
    )
    const others = [
      "https://issuer.example/",
      "https://ISSUER.example",
      "http://issuer.example",
      null,
      undefined
    ]
    for (const issuer of others) assert.isTrue(Result.isFailure(read({ ...sound, issuer })), String(issuer))
  })

  it("needs a URL of sane size in it, and gives it without what the database cannot hold", () => {
    const issuer = "https://issuer.example"
    for (const jwks_uri of [undefined, null, 1, "", "keys", `https://e.example/${"x".repeat(2048)}`]) {
      assert.isTrue(Result.isFailure(read({ issuer, jwks_uri })), String(jwks_uri))
    }
    for (const document of [null, [], "x"]) assert.isTrue(Result.isFailure(read(document)))
    const odd = Result.getOrThrow(read({ issuer, jwks_uri: "https://e.example/a\0b" }))
    assert.strictEqual(odd, "https://e.example/a%00b")
  })
})
