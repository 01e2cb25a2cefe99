import { errors } from "undici"

/**
 * Transport errors by their code. Messages of the system and of the TLS library are not passed on: they hold addresses
 * and names of the inside.
 */
const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection reset",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  EADDRNOTAVAIL: "no local address left",
  EMFILE: "too many open files",
  ETIMEDOUT: "connection timed out",
  UND_ERR_SOCKET: "connection closed before the answer was complete",
  UND_ERR_HEADERS_OVERFLOW: "the headers of the answer are too large",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the answer does not have the length it says",
  UND_ERR_INVALID_ARG: "the request has an invalid header",
  UND_ERR_DESTROYED: "the service is stopping",
  UND_ERR_CLOSED: "the service is stopping",
  ERR_TLS_CERT_ALTNAME_INVALID: "the certificate is for another host",
  CERT_HAS_EXPIRED: "the certificate has expired",
  CERT_NOT_YET_VALID: "the certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate is self-signed",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the issuer of the certificate is unknown",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the issuer of the certificate is unknown",
  UNABLE_TO_GET_ISSUER_CERT: "the issuer of the certificate is unknown"
}

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : ""

/** What went wrong, in words that may be shown to whoever chose the target. */
export const reasonOf = (error: unknown): string => {
  const code = codeOf(error)
  const reason = reasons[code]
  if (reason !== undefined) return reason
  if (error instanceof errors.HTTPParserError) return "the answer is not HTTP"
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_")) return "the TLS handshake failed"
  return "the connection failed"
}
