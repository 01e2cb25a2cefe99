import { Result } from "effect"
import { DocumentInvalid, readDocument } from "./key-set.ts"
import { MAX_URL } from "./model.ts"

/**
 * Where an issuer describes itself (OpenID Connect Discovery 1.0 §4). Undefined for an issuer that cannot have such a
 * place: one with a query or a fragment, or no URL at all.
 */
export const discoveryUrl = (issuerUrl: string): string | undefined => {
  const isPlain = URL.canParse(issuerUrl) && !/[?#]/u.test(issuerUrl)
  return isPlain ? `${issuerUrl.replace(/\/$/u, "")}/.well-known/openid-configuration` : undefined
}

/** `jwks_uri` of a discovery document, which must be that of this very issuer (§4.3 there). */
export const readJwksUri = (bytes: Uint8Array, issuerUrl: string): Result.Result<string, DocumentInvalid> =>
  Result.flatMap(readDocument(bytes), ({ issuer, jwks_uri: jwksUri }) => {
    if (issuer !== issuerUrl) {
      return Result.fail(new DocumentInvalid({ message: "the discovery document is of another issuer" }))
    }
    const url = typeof jwksUri === "string" && jwksUri.length <= MAX_URL ? URL.parse(jwksUri) : null
    return url === null
      ? Result.fail(new DocumentInvalid({ message: "the discovery document has no usable jwks_uri" }))
      : Result.succeed(url.href)
  })
