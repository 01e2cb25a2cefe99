import { Effect, Result, Schema } from "effect"
import type { Settings } from "../config.ts"
import type { Egress } from "../egress/Egress.ts"
import { entityTagOf } from "../egress/entity-tag.ts"
import { type OutboundResponse, TargetRefused } from "../egress/model.ts"
import { webhookTargets } from "../egress/policy.ts"
import { VERSION } from "../ops/version.ts"
import { discoveryUrl, readJwksUri } from "./discovery.ts"
import { MAX_DOCUMENT_BYTES, readKeySet } from "./key-set.ts"
import type { DueAnchor, FetchOutcome } from "./KeySets.ts"

/** Kinds of failure: by our own rules, on the way, by the status of the answer, by what the answer holds. */
export const FAILURES = ["refused", "unreachable", "status", "invalid"] as const

/** No usable answer came; `reason` is one line that may be shown to operators. */
export class KeySetUnavailable extends Schema.TaggedError<KeySetUnavailable>()("KeySetUnavailable", {
  kind: Schema.Literals(FAILURES),
  reason: Schema.String
}) {}

const unavailable = (kind: KeySetUnavailable["kind"], reason: string) =>
  new KeySetUnavailable({ kind, reason })

/** The body of a 200 that is all there and not compressed. */
const bodyOf = ({ body, headers, status, truncated }: OutboundResponse) => {
  if (status !== 200) return Effect.fail(unavailable("status", `the answer has status ${status}`))
  if (truncated) return Effect.fail(unavailable("invalid", "the answer is larger than 1 MiB"))
  return (headers.get("content-encoding") ?? "identity").toLowerCase() === "identity"
    ? Effect.succeed(body)
    : Effect.fail(unavailable("invalid", "the answer is compressed"))
}

const valid = <A>(read: Result.Result<A, { readonly message: string }>) =>
  Effect.fromResult(Result.mapError(read, ({ message }) => unavailable("invalid", message)))

/**
 * How the key set of an anchor is fetched: from its `jwksUrl`, else from where the issuer's discovery document says. Each
 * of these requests has `JWKS_FETCH_TIMEOUT_MS` from the call to the end of the body. Production uses `https:` only.
 */
export const makeKeySetFetch = (egress: Egress["Service"], settings: Settings) => {
  const policy = { ...webhookTargets(settings), hosts: [] }
  const timeoutMs = settings.jwks.fetchTimeoutMs

  const isRefusedScheme = (url: string) => settings.production && !/^https:/iu.test(url)

  const get = Effect.fnUntraced(function* (url: string, ifNoneMatch: string | null) {
    if (isRefusedScheme(url)) return yield* unavailable("refused", "the scheme must be https")
    return yield* egress
      .send({
        method: "GET",
        url,
        headers: {
          accept: "application/jwk-set+json, application/json",
          "user-agent": `aitp-control-plane/${VERSION}`,
          ...(ifNoneMatch === null ? {} : { "if-none-match": ifNoneMatch })
        },
        policy,
        connectTimeoutMs: timeoutMs,
        headersTimeoutMs: timeoutMs,
        bodyTimeoutMs: timeoutMs,
        maxResponseBytes: MAX_DOCUMENT_BYTES
      })
      .pipe(
        Effect.mapError((error) =>
          unavailable(error instanceof TargetRefused ? "refused" : "unreachable", error.reason)
        ),
        Effect.timeoutOrElse({
          duration: timeoutMs,
          orElse: () => Effect.fail(unavailable("unreachable", "no complete answer in time"))
        })
      )
  })

  const discover = Effect.fnUntraced(function* (issuerUrl: string) {
    const url = discoveryUrl(issuerUrl)
    if (url === undefined) return yield* unavailable("refused", "the issuer has no discovery document")
    const answer = yield* get(url, null)
    return yield* valid(readJwksUri(yield* bodyOf(answer), issuerUrl))
  })

  return Effect.fn("fetchKeySet")(function* (anchor: DueAnchor) {
    const { etag, issuerUrl, jwksUrl } = anchor
    if (isRefusedScheme(issuerUrl)) return yield* unavailable("refused", "the issuer is not https")
    const source = jwksUrl ?? (yield* discover(issuerUrl))
    const known = anchor.source === source ? etag : null
    const answer = yield* get(source, known)
    if (answer.status === 304 && known !== null) return { _tag: "Unchanged" } satisfies FetchOutcome
    const keySet = yield* valid(readKeySet(yield* bodyOf(answer)))
    return { _tag: "Fetched", keySet, source, etag: entityTagOf(answer) } satisfies FetchOutcome
  })
}
