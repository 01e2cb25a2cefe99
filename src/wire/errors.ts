import { Effect, Schema } from "effect"

/**
 * Every public error of `/api`, one class per `code`. The body on the wire is exactly the fields of the class:
 * `{error, code}` plus the extras named here; status, headers and the text of `GET /errors/:code` are its annotations.
 * A code that is not in this file does not exist.
 */

/** Fields of an envelope; `text` is sent as `error` when the thrower has nothing more telling to say. */
const envelope = <const Code extends string>(code: Code, text: string) => ({
  /** Short human text, under 200 characters, free of internals. */
  error: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed(text))),
  /** The stable signal. */
  code: Schema.tag(code)
})

const about = (
  httpApiStatus: number,
  title: string,
  description: string,
  wireHeaders?: Readonly<Record<string, string>>
) => ({ httpApiStatus, title, description, wireHeaders })

const verification = {
  /** What the agent SDKs call the failure; absent when a limit of this service refused. */
  verifyCode: Schema.optionalKey(Schema.String),
  /** Name of the failure in the AITP error registry. */
  protocolCode: Schema.optionalKey(Schema.String)
}

export class BodyInvalid extends Schema.Error<BodyInvalid>("BodyInvalid")(
  envelope("BODY_INVALID", "request body is invalid"),
  about(
    400,
    "Body invalid",
    "The body is not UTF-8 JSON, is not an object, or a member is missing, has the wrong type or is too long."
  )
) {}

export class BadRequest extends Schema.Error<BadRequest>("BadRequest")(
  envelope("BAD_REQUEST", "bad request"),
  about(400, "Bad request", "A query value, header or path escape cannot be used.")
) {}

export class FilterInvalid extends Schema.Error<FilterInvalid>("FilterInvalid")(
  envelope("FILTER_INVALID", "filter is invalid"),
  about(400, "Filter invalid", "History: `since` or `until` is not a time, or a text filter contains NUL.")
) {}

export class ManifestInvalid extends Schema.Error<ManifestInvalid>("ManifestInvalid")(
  { ...envelope("MANIFEST_INVALID", "manifest is invalid"), ...verification },
  about(400, "Manifest invalid", "The manifest is missing or fails verification.")
) {}

export class ManifestExpired extends Schema.Error<ManifestExpired>("ManifestExpired")(
  { ...envelope("MANIFEST_EXPIRED", "manifest expires too soon"), ...verification },
  about(
    400,
    "Manifest expired",
    "Registration: the manifest has expired or expires within the next 300 seconds."
  )
) {}

export class JtiInvalid extends Schema.Error<JtiInvalid>("JtiInvalid")(
  envelope("JTI_INVALID", "jti must be a UUID"),
  about(400, "Token id invalid", "The `jti` is not a UUID.")
) {}

export class UrlNotAllowed extends Schema.Error<UrlNotAllowed>("UrlNotAllowed")(
  envelope("URL_NOT_ALLOWED", "url is not allowed"),
  about(400, "URL not allowed", "The webhook target is refused by the address guard.")
) {}

export class IdempotencyKeyInvalid extends Schema.Error<IdempotencyKeyInvalid>("IdempotencyKeyInvalid")(
  envelope("IDEMPOTENCY_KEY_INVALID", "Idempotency-Key must be 1 to 255 printable characters"),
  about(
    400,
    "Idempotency key invalid",
    "The header is empty, longer than 255 characters or has control characters."
  )
) {}

export class CursorInvalid extends Schema.Error<CursorInvalid>("CursorInvalid")(
  envelope("CURSOR_INVALID", "cursor does not belong to this list"),
  about(400, "Cursor invalid", "The cursor is malformed or was made for another route, filter or caller.")
) {}

export class InvalidApiKey extends Schema.Error<InvalidApiKey>("InvalidApiKey")(
  envelope("INVALID_API_KEY", "missing or invalid API key"),
  about(401, "Invalid API key", "The route needs an API key; none was sent, or it is unknown.", {
    "www-authenticate": "Bearer"
  })
) {}

export class TokenInvalid extends Schema.Error<TokenInvalid>("TokenInvalid")(
  envelope("TOKEN_INVALID", "enrollment token is invalid"),
  about(
    401,
    "Token invalid",
    "The enrollment token is malformed, forged, expired or made for another manifest.",
    {
      "www-authenticate": "Bearer"
    }
  )
) {}

export class TokenReplayed extends Schema.Error<TokenReplayed>("TokenReplayed")(
  envelope("TOKEN_REPLAYED", "enrollment token was already used"),
  about(401, "Token replayed", "The enrollment token was already spent.", { "www-authenticate": "Bearer" })
) {}

export class HandshakeNotSupported extends Schema.Error<HandshakeNotSupported>("HandshakeNotSupported")(
  envelope("HANDSHAKE_NOT_SUPPORTED", "the control plane takes part in no handshake"),
  about(403, "Handshake not supported", "The service's own manifest must name an endpoint; it serves nobody.")
) {}

export class NotFound extends Schema.Error<NotFound>("NotFound")(
  envelope("NOT_FOUND", "not found"),
  about(404, "Not found", "There is no such route or resource.")
) {}

export class MethodNotAllowed extends Schema.Error<MethodNotAllowed>("MethodNotAllowed")(
  envelope("METHOD_NOT_ALLOWED", "method not allowed"),
  about(405, "Method not allowed", "The path exists for other methods; `Allow` names them.")
) {}

export class AlreadyExists extends Schema.Error<AlreadyExists>("AlreadyExists")(
  {
    ...envelope("ALREADY_EXISTS", "already exists"),
    /** The one that is in the way. */
    existing: Schema.Struct({ id: Schema.String })
  },
  about(409, "Already exists", "A trust anchor with this namespace and issuer exists.")
) {}

export class ManifestStale extends Schema.Error<ManifestStale>("ManifestStale")(
  envelope("MANIFEST_STALE", "a newer manifest of this agent is registered"),
  about(409, "Manifest stale", "The stored manifest of this AID has a larger `published_at`.")
) {}

export class AidFormConflict extends Schema.Error<AidFormConflict>("AidFormConflict")(
  {
    ...envelope("AID_FORM_CONFLICT", "this key is registered under the other AID spelling"),
    /** The spelling that is registered. */
    existing: Schema.Struct({ aid: Schema.String })
  },
  about(409, "AID form conflict", "The same key is registered under the other AID spelling.")
) {}

export class IdempotencyInProgress extends Schema.Error<IdempotencyInProgress>("IdempotencyInProgress")(
  envelope("IDEMPOTENCY_IN_PROGRESS", "a request with this Idempotency-Key is still running"),
  about(409, "Idempotency in progress", "A request with the same key is still running.", {
    "retry-after": "1"
  })
) {}

export class AgentNotActive extends Schema.Error<AgentNotActive>("AgentNotActive")(
  {
    ...envelope("AGENT_NOT_ACTIVE", "agent is not active"),
    /** State of the agent's record. */
    status: Schema.Literals(["expired", "deregistered"])
  },
  about(
    410,
    "Agent not active",
    "The manifest of an expired or deregistered agent was asked for without a key."
  )
) {}

export class CursorExpired extends Schema.Error<CursorExpired>("CursorExpired")(
  {
    ...envelope("CURSOR_EXPIRED", "cursor is older than what is kept"),
    /** First position that can still be read. */
    earliest: Schema.String
  },
  about(410, "Cursor expired", "The position is older than the retention or belongs to another epoch.")
) {}

export class PayloadTooLarge extends Schema.Error<PayloadTooLarge>("PayloadTooLarge")(
  {
    ...envelope("PAYLOAD_TOO_LARGE", "request body is too large"),
    /** Type of the event that alone is too large. */
    eventType: Schema.optionalKey(Schema.String)
  },
  about(413, "Payload too large", "The body, or one event of a batch, is larger than the route takes.")
) {}

export class UnsupportedEncoding extends Schema.Error<UnsupportedEncoding>("UnsupportedEncoding")(
  envelope("UNSUPPORTED_ENCODING", "request bodies must not be compressed"),
  about(415, "Unsupported encoding", "The request has a `Content-Encoding` other than `identity`.")
) {}

export class IdempotencyKeyReused extends Schema.Error<IdempotencyKeyReused>("IdempotencyKeyReused")(
  envelope("IDEMPOTENCY_KEY_REUSED", "this Idempotency-Key was used for another request"),
  about(422, "Idempotency key reused", "The key was used before with another request.")
) {}

export class RateLimited extends Schema.Error<RateLimited>("RateLimited")(
  {
    ...envelope("RATE_LIMITED", "too many requests"),
    /** The limit that was reached. */
    bucket: Schema.String
  },
  about(429, "Rate limited", "Too many requests; `Retry-After` says when the next one is admitted.")
) {}

export class Internal extends Schema.Error<Internal>("Internal")(
  envelope("INTERNAL", "internal error"),
  about(500, "Internal error", "A defect of the service, logged under the request id.")
) {}

export class ServerMisconfigured extends Schema.Error<ServerMisconfigured>("ServerMisconfigured")(
  envelope("SERVER_MISCONFIGURED", "server is not configured for this"),
  about(503, "Server misconfigured", "The service lacks `API_KEYS` or a usable `ENROLLMENT_SECRET`.")
) {}

export class SseCapacity extends Schema.Error<SseCapacity>("SseCapacity")(
  envelope("SSE_CAPACITY", "too many open streams"),
  about(503, "Stream capacity reached", "This replica has as many event streams open as it may.", {
    "retry-after": "30"
  })
) {}

export class RevocationUnavailable extends Schema.Error<RevocationUnavailable>("RevocationUnavailable")(
  envelope("REVOCATION_UNAVAILABLE", "no revocation list can be served"),
  about(503, "Revocation list unavailable", "There is no list that may be served now.", {
    "retry-after": "30",
    "cache-control": "no-store"
  })
) {}

export class JwksNotCached extends Schema.Error<JwksNotCached>("JwksNotCached")(
  {
    ...envelope("JWKS_NOT_CACHED", "key set was not fetched yet"),
    /** Issuer whose keys are missing. */
    issuerUrl: Schema.String
  },
  about(503, "Key set not cached", "The key set of the trust anchor was not fetched yet.", {
    "retry-after": "60"
  })
) {}

export class Unavailable extends Schema.Error<Unavailable>("Unavailable")(
  envelope("UNAVAILABLE", "service is unavailable"),
  about(503, "Unavailable", "The service is starting, or its database cannot be reached.", {
    "retry-after": "2"
  })
) {}
