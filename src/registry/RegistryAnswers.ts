import { Context, Effect, Layer } from "effect"
import type { HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Principal } from "../access/Principal.ts"
import { visibilityKey } from "../access/Visibility.ts"
import { RegistryVersion } from "./RegistryVersion.ts"

type Request = HttpServerRequest.HttpServerRequest

/** An answer made once for many requests. */
export interface Answer {
  readonly to: (request: Request) => HttpServerResponse.HttpServerResponse
  /** Characters of its body. */
  readonly length: number
  /** When it stops being true by itself, ms since 1970: the first expiry among the agents it shows. */
  readonly until: number
}

interface Kept {
  readonly answer: Answer
  readonly version: string
  /** Monotonic, ms. */
  readonly madeAt: number
}

/** Longest time in ms that an answer is given; `lastSeenAt` is in no version and gets that old. */
const MAX_AGE_MS = 5000
/** Bytes that answers take, about; the least recently used ones go first. */
const MAX_SIZE = 16_777_216
/** Bytes that an answer takes besides its body. */
const OVERHEAD = 1024

/** What tells answers apart: the request's target, and what its caller may see. */
const keyOf = ({ url }: Request, { visibility }: Principal): string => `${visibilityKey(visibility)} ${url}`

/**
 * Rendered answers of the registry. One is given again as long as no agent has changed since: here at once, after a change
 * on another replica within 250 ms.
 */
export class RegistryAnswers extends Context.Service<
  RegistryAnswers,
  {
    /** The answer that is known to hold, if there is one. */
    readonly immediate: (
      request: Request,
      principal: Principal
    ) => HttpServerResponse.HttpServerResponse | undefined
    /** The answer that holds, made and kept unless there is one. */
    readonly respond: <E, R>(
      request: Request,
      principal: Principal,
      make: Effect.Effect<Answer, E, R>
    ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  }
>()("cp/registry/RegistryAnswers") {
  static readonly layer = Layer.effect(
    RegistryAnswers,
    Effect.gen(function* () {
      const versions = yield* RegistryVersion
      const kept = new Map<string, Kept>()
      let size = 0

      const sizeOf = (key: string, { answer }: Kept) => answer.length + key.length + OVERHEAD
      const forget = (key: string, each: Kept) => {
        kept.delete(key)
        size -= sizeOf(key, each)
      }

      const find = (key: string, version: string): Answer | undefined => {
        const found = kept.get(key)
        if (found === undefined) return undefined
        const { answer, madeAt } = found
        const holds =
          found.version === version && performance.now() - madeAt < MAX_AGE_MS && Date.now() < answer.until
        if (!holds) {
          forget(key, found)
          return undefined
        }
        kept.delete(key) // and last again: the first ones are those used least recently
        kept.set(key, found)
        return answer
      }

      const keep = (key: string, each: Kept) => {
        const former = kept.get(key)
        if (former !== undefined) forget(key, former)
        kept.set(key, each)
        size += sizeOf(key, each)
        for (const [oldest, one] of kept) {
          if (size <= MAX_SIZE) break
          forget(oldest, one)
        }
      }

      return {
        immediate: (request, principal) => {
          const version = versions.known()
          return version === undefined ? undefined : find(keyOf(request, principal), version)?.to(request)
        },
        respond: Effect.fnUntraced(function* (request, principal, make) {
          const key = keyOf(request, principal)
          const version = yield* versions.current
          const found = find(key, version)
          if (found !== undefined) return found.to(request)
          const madeAt = performance.now()
          const answer = yield* make
          if (Date.now() < answer.until) keep(key, { answer, version, madeAt })
          return answer.to(request)
        })
      }
    })
  )
}
