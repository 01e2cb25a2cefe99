import { Cause, Context, Deferred, Effect, Exit, Layer, Queue } from "effect"
import { findUnavailable } from "../db/unavailable.ts"
import { type Completion, ReservationLost } from "../idempotency/model.ts"
import { AuditEvents, Lost } from "./AuditEvents.ts"
import { EventOwners } from "./EventOwners.ts"
import { LedgerHints } from "./LedgerHints.ts"
import type { NewEvent, Recorded } from "./model.ts"
import { mayBeDelivered, type Provenance, seal } from "./seal.ts"

/** The events of one request, ready to be sealed. */
export interface Member {
  readonly events: ReadonlyArray<NewEvent>
  readonly provenance: Omit<Provenance, "orgIdsOf" | "subscribed">
  /** Completes the request's idempotency key in the same transaction. */
  readonly completion: Completion | undefined
}

interface Waiting extends Member {
  readonly done: Deferred.Deferred<Recorded, ReservationLost>
}

/** Requests that wait for a commit; further ones wait to be let in. */
const MAX_WAITING = 10_000
/** Bounds of one shared commit; a request that is larger has one to itself. */
const MAX_ROWS = 2000
const MAX_CHARACTERS = 8_388_608
const MAX_MEMBERS = 256
/** Requests of at least so many events count as large. */
const LARGE = 50
/**
 * Commits of large requests under way: while one holds the head row or is on its way to the disk, the next ones are
 * prepared. Small requests have one at a time: sharing it saves more than preparing two.
 */
const LARGE_COMMITS = 3

const charactersOf = ({ events }: Member) => events.reduce((sum, { payload }) => sum + payload.length, 0)

/** Cuts what is waiting into commits within the bounds, in order. */
const commitsOf = (waiting: ReadonlyArray<Waiting>): ReadonlyArray<ReadonlyArray<Waiting>> => {
  const commits: Array<Array<Waiting>> = []
  let [rows, characters] = [0, 0]
  for (const member of waiting) {
    const size = charactersOf(member)
    const last = commits.at(-1)
    rows += member.events.length
    characters += size
    if (last !== undefined && rows <= MAX_ROWS && characters <= MAX_CHARACTERS) {
      last.push(member)
      continue
    }
    commits.push([member])
    rows = member.events.length
    characters = size
  }
  return commits
}

/** The part of a shared answer that belongs to each member. */
const sharesOf = (members: ReadonlyArray<Member>, recorded: Recorded): ReadonlyArray<Recorded> => {
  let start = 0
  return members.map(({ events }) => {
    const end = start + events.length
    const share = {
      ...recorded,
      seqs: recorded.seqs.slice(start, end),
      outcomes: recorded.outcomes.slice(start, end)
    }
    start = end
    return share
  })
}

/**
 * Requests that arrive while a commit is under way share the next one: one call and one flush to disk for all of them. A
 * shared commit that fails is tried again member by member, so that a request that cannot be stored fails alone.
 */
export class GroupCommit extends Context.Service<
  GroupCommit,
  {
    /** Succeeds once the member's events are committed. Interrupting the wait does not take them back. */
    readonly commit: (member: Member) => Effect.Effect<Recorded, ReservationLost>
  }
>()("cp/events/GroupCommit") {
  static readonly layer = Layer.effect(
    GroupCommit,
    Effect.gen(function* () {
      const auditEvents = yield* AuditEvents
      const hints = yield* LedgerHints
      const owners = yield* EventOwners
      const small = yield* Queue.bounded<Waiting>(MAX_WAITING)
      const large = yield* Queue.bounded<Waiting>(MAX_WAITING)

      /** Stores the events of these members, or none. */
      const store = Effect.fnUntraced(function* (members: ReadonlyArray<Member>) {
        const events = members.flatMap((member) => member.events)
        const requests = {
          sizes: members.map((member) => member.events.length),
          completions: members.map(({ completion }) => completion)
        }
        let enqueued = false
        const answer = yield* owners.appending(Effect.succeed(events), (_, { of, subscribed, version }) => {
          const sealed = members.flatMap((member) =>
            seal(member.events, { ...member.provenance, orgIdsOf: of, subscribed })
          )
          enqueued = mayBeDelivered(sealed)
          return auditEvents.append(sealed, version, requests)
        })
        if (!(answer instanceof Lost)) hints.nudge(enqueued)
        return answer
      })

      const settle = (waiting: Waiting, exit: Exit.Exit<Recorded, ReservationLost>) =>
        Deferred.done(waiting.done, exit)

      /** Answers every member. Members whose keys were lost are left out and the others stored without them. */
      const commit = (members: ReadonlyArray<Waiting>): Effect.Effect<void> =>
        Effect.matchCauseEffect(
          Effect.suspend(() => store(members)),
          {
            onSuccess: (answer) => {
              if (answer instanceof Lost) {
                const lost = members.filter((_, index) => answer.requests.has(index))
                const rest = members.filter((_, index) => !answer.requests.has(index))
                const told = Effect.forEach(lost, (member) =>
                  settle(member, Exit.fail(new ReservationLost()))
                )
                return Effect.andThen(told, rest.length === 0 ? Effect.void : commit(rest))
              }
              const shares = sharesOf(members, answer)
              return Effect.forEach(
                members,
                (member, index) => settle(member, Exit.succeed(shares[index] ?? answer)),
                { discard: true }
              )
            },
            onFailure: (cause) =>
              members.length === 1 || Cause.hasInterrupts(cause) || findUnavailable(cause)._tag === "Some"
                ? Effect.forEach(members, (member) => settle(member, Exit.failCause(cause)), {
                    discard: true
                  })
                : Effect.forEach(members, (member) => commit([member]), { discard: true })
          }
        )

      const committer = (queue: Queue.Dequeue<Waiting>) =>
        Queue.takeBetween(queue, 1, MAX_MEMBERS).pipe(
          Effect.flatMap((waiting) => Effect.forEach(commitsOf(waiting), commit, { discard: true })),
          Effect.forever
        )
      yield* Effect.forkScoped(committer(small))
      for (let count = 0; count < LARGE_COMMITS; count += 1) yield* Effect.forkScoped(committer(large))

      return {
        commit: Effect.fnUntraced(function* (member: Member) {
          const done = yield* Deferred.make<Recorded, ReservationLost>()
          yield* Queue.offer(member.events.length < LARGE ? small : large, { ...member, done })
          return yield* Deferred.await(done)
        })
      }
    })
  )
}
