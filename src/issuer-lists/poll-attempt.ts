import { Clock, Effect, Metric, Option } from "effect"
import type { DueList, PollOutcome } from "./IssuerLists.ts"
import type { IssuerRevocations } from "./IssuerRevocations.ts"
import type { makeListFetch } from "./list-fetch.ts"
import type { ListChecker } from "./ListChecker.ts"
import { ListUnusable, MAX_NEW_PER_DAY } from "./model.ts"
import type { PollHints } from "./poll-schedule.ts"

export const recorded = Metric.counter("issuer_revocations_recorded_total", {
  description: "Revocations learnt from agents' own lists.",
  incremental: true
})

interface Attempting {
  readonly fetch: ReturnType<typeof makeListFetch>
  readonly check: ListChecker["Service"]["check"]
  readonly revocations: IssuerRevocations["Service"]
  readonly acceptWrapped: boolean
}

/** What an attempt came to, and when the next one should be. */
interface Attempted {
  readonly outcome: PollOutcome
  readonly hints: PollHints
}

/** One attempt at a list: fetches it, checks it, records what it revokes, and gives what is to be kept of it. */
export const makeAttempt = ({ acceptWrapped, check, fetch, revocations }: Attempting) => {
  /** In small transactions, each followed by a pause of its own length: every append waits for them. */
  const record = Effect.fnUntraced(function* (aid: string, chunks: ReadonlyArray<string>) {
    for (const chunk of chunks) {
      const [took, fresh] = yield* Effect.timed(revocations.record(aid, chunk))
      if (Option.isNone(fresh)) {
        const reason = `the list brings more than ${MAX_NEW_PER_DAY} new revocations within a day`
        return yield* new ListUnusable({ kind: "excess", reason })
      }
      if (fresh.value === 0) continue
      yield* Metric.update(recorded, fresh.value)
      yield* Effect.sleep(took)
    }
  })

  return Effect.fn("attemptIssuerList")(function* (due: DueList): Effect.fn.Return<Attempted, ListUnusable> {
    const nowSecs = (yield* Clock.currentTimeMillis) / 1000
    const isServed = due.expiresAt !== null && due.expiresAt > nowSecs
    const etag = due.source === due.uri && isServed ? due.etag : null
    const answer = yield* fetch({ uri: due.uri, etag })
    const { maxAgeSecs } = answer
    if (answer._tag === "Unchanged") {
      const validForSecs = (due.expiresAt ?? nowSecs) - nowSecs
      return { outcome: { _tag: "Unchanged" }, hints: { failures: 0, maxAgeSecs, validForSecs } }
    }
    const { body } = answer
    const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
    const list = yield* check({ body, aid: due.aid, now, acceptWrapped })
    if (list.publishedAt < (due.publishedAt ?? 0)) {
      return yield* new ListUnusable({ kind: "rolled_back", reason: "the list is older than the copy" })
    }
    if (due.entriesSha256 === null || Buffer.compare(due.entriesSha256, list.entriesSha256) !== 0) {
      const missing = yield* revocations.missing(due.aid, list.ids)
      // What the issuer has signed is revoked, also when the list as a whole is not taken.
      yield* record(due.aid, list.chunks)
      if (missing > 0) {
        const reason = `the list leaves out ${missing} whose tokens may still be valid`
        if ((due.expiresAt ?? 0) > now) return yield* new ListUnusable({ kind: "shrunk", reason })
        yield* Effect.logWarning(
          `revocation list of ${due.aid} taken in place of one that has expired: ${reason}`
        )
      }
    }
    return {
      outcome: { _tag: "Received", body, list, source: due.uri, etag: answer.etag },
      hints: { failures: 0, maxAgeSecs, validForSecs: list.expiresAt - now }
    }
  })
}
