import { Effect } from "effect"
import type { Settings } from "../config.ts"
import type { Egress } from "../egress/Egress.ts"
import { entityTagOf } from "../egress/entity-tag.ts"
import { type OutboundResponse, TargetRefused } from "../egress/model.ts"
import type { TargetPolicy } from "../egress/policy.ts"
import { VERSION } from "../ops/version.ts"
import { type FailureKind, ListUnusable, MAX_LIST_BYTES } from "./model.ts"

/** A list to be fetched. */
export interface ListRequest {
  readonly uri: string
  /** Tag of the copy, when it came from this URI and may still be served. */
  readonly etag: string | null
}

/** What the issuer answered. */
export type ListAnswer = {
  /** Seconds that the answer calls itself fresh for. */
  readonly maxAgeSecs: number | undefined
} & (
  | { readonly _tag: "Unchanged" }
  | { readonly _tag: "Received"; readonly body: Uint8Array; readonly etag: string | null }
)

const MAX_AGE = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/iu

const unusable = (kind: FailureKind, reason: string) => new ListUnusable({ kind, reason })

const maxAgeOf = ({ headers }: OutboundResponse): number | undefined => {
  const [, secs] = MAX_AGE.exec(headers.get("cache-control") ?? "") ?? []
  return secs === undefined ? undefined : Number(secs)
}

const received = (answer: OutboundResponse): Effect.Effect<ListAnswer, ListUnusable> => {
  const { body, headers, status, truncated } = answer
  if (status !== 200) return Effect.fail(unusable("status", `the answer has status ${status}`))
  if (truncated) return Effect.fail(unusable("invalid", "the list is larger than 8 MiB"))
  if ((headers.get("content-encoding") ?? "identity").toLowerCase() !== "identity")
    return Effect.fail(unusable("invalid", "the answer is compressed"))
  return Effect.succeed({
    _tag: "Received",
    body,
    etag: entityTagOf(answer),
    maxAgeSecs: maxAgeOf(answer)
  })
}

/**
 * How lists are fetched: over https, or from the networks of `REVOCATION_MIRROR_ALLOW_CIDRS`, within
 * `REVOCATION_MIRROR_TIMEOUT_MS` from the call to the end of the body. Agents name these places, so what is allowed to
 * webhooks, which operators name, is not allowed here.
 */
export const makeListFetch = (egress: Egress["Service"], { mirror }: Settings) => {
  const policy: TargetPolicy = { hosts: [], allowCidrs: mirror.allowCidrs, allowHttp: false }
  const { timeoutMs } = mirror

  return Effect.fn("fetchIssuerList")(function* ({ etag, uri }: ListRequest) {
    const answer = yield* egress
      .send({
        method: "GET",
        url: uri,
        headers: {
          accept: "application/json",
          "user-agent": `aitp-control-plane/${VERSION}`,
          ...(etag === null ? {} : { "if-none-match": etag })
        },
        policy,
        connectTimeoutMs: timeoutMs,
        headersTimeoutMs: timeoutMs,
        bodyTimeoutMs: timeoutMs,
        maxResponseBytes: MAX_LIST_BYTES
      })
      .pipe(
        Effect.mapError((error) =>
          unusable(error instanceof TargetRefused ? "refused" : "unreachable", error.reason)
        ),
        Effect.timeoutOrElse({
          duration: timeoutMs,
          orElse: () => Effect.fail(unusable("unreachable", "no complete answer in time"))
        })
      )
    if (answer.status === 304 && etag !== null) {
      return { _tag: "Unchanged", maxAgeSecs: maxAgeOf(answer) } satisfies ListAnswer
    }
    return yield* received(answer)
  })
}
