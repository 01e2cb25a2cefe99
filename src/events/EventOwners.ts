import { Context, Effect, Layer } from "effect"
import { DEFAULT_ORG, type OrgId } from "../access/Visibility.ts"
import { keyOfAid, parseAid } from "../aitp/aid.ts"
import { byteaArray, textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import type { NewEvent } from "./model.ts"
import { LOG_ID } from "./seal.ts"

/** Who owns the events of one append, as of one version of the directory. */
export interface Owners {
  /** The append is refused as stale when the directory has moved past this version. */
  readonly version: number
  /** The owner of the event's namespace and of its registered parties; the default organisation when there is none. */
  readonly of: (event: NewEvent) => ReadonlyArray<OrgId>
  /** Whether any webhook may want an event; otherwise nothing is prepared for delivery. */
  readonly subscribed: boolean
}

interface Found {
  readonly version: string
  readonly claimed: boolean
  readonly subscribed: boolean
  /** Organisation by namespace, of the namespaces asked for that are claimed. */
  readonly namespaces: Readonly<Record<string, OrgId>>
  /** Organisation by AID as the event spells it, of the AIDs asked for that are registered under either spelling. */
  readonly agents: Readonly<Record<string, OrgId>>
}

const distinct = (values: ReadonlyArray<string | null>): ReadonlyArray<string> => [
  ...new Set(values.filter((value) => value !== null))
]

/** Answer of an append that found that what it was made under no longer holds; nothing was stored. */
export class Stale {
  readonly _tag = "Stale"
}

/** Owners change seldom; losing the race this often in a row is a fault. */
const MAX_TRIES = 10

/** Looks up which organisations an event belongs to; who changes that bumps `log_head.directory_version`. */
export class EventOwners extends Context.Service<
  EventOwners,
  {
    /**
     * Runs an append with the owners of its events. When it answers `Stale`, because what the events say or who owns them
     * no longer holds, all is done again, events included.
     */
    readonly appending: <A, E, R, E2, R2>(
      events: Effect.Effect<ReadonlyArray<NewEvent>, E, R>,
      append: (events: ReadonlyArray<NewEvent>, owners: Owners) => Effect.Effect<A | Stale, E2, R2>
    ) => Effect.Effect<A, E | E2, R | R2>
  }
>()("cp/events/EventOwners") {
  static readonly layer = Layer.effect(
    EventOwners,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const everyone: ReadonlyArray<OrgId> = [DEFAULT_ORG]
      // While no namespace is claimed nothing needs looking up. Remembering that is safe: the append compares the
      // version under the lock.
      let unclaimed: Owners | undefined

      const query = (namespaces: ReadonlyArray<string>, aids: ReadonlyArray<string>) => {
        const parties = aids.flatMap((text) => {
          const aid = parseAid(text)
          return aid === undefined ? [] : [{ text, key: keyOfAid(aid) }]
        })
        return sql<Found>`
          select
            h.directory_version::text as version,
            exists (select from namespaces) as claimed,
            exists (select from webhooks where active) as subscribed,
            coalesce(
              (select jsonb_object_agg(n.namespace, n.org_id) from namespaces n
               where n.namespace = any(${textArray(namespaces)})), '{}') as namespaces,
            coalesce(
              (select jsonb_object_agg(k.aid, coalesce(n.org_id, ${DEFAULT_ORG}::uuid))
               from unnest(
                 ${textArray(parties.map(({ text }) => text))}::text[],
                 ${textArray(parties.map(({ key }) => key.alg))}::text[],
                 ${byteaArray(parties.map(({ key }) => key.raw))}::bytea[]) as k (aid, alg, raw)
               join agents a on a.key_alg = k.alg and a.key_raw = k.raw
               left join namespaces n on n.namespace = a.namespace), '{}') as agents
          from log_head h
          where h.log_id = ${LOG_ID}`
      }

      /** @param fresh true after an append was refused as stale: what is remembered is not used */
      const lookUp = Effect.fnUntraced(function* (events: ReadonlyArray<NewEvent>, fresh: boolean) {
        if (!fresh && unclaimed !== undefined) return unclaimed
        const [found] = yield* query(
          distinct(events.map((event) => event.namespace)),
          distinct(events.flatMap((event) => [event.aidA, event.aidB]))
        )
        if (found === undefined) return yield* Effect.die("log_head has no row")
        const version = Number(found.version)
        const { subscribed } = found
        if (!found.claimed) {
          unclaimed = { version, subscribed, of: () => everyone }
          return unclaimed
        }
        unclaimed = undefined
        const of = (event: NewEvent): ReadonlyArray<OrgId> => {
          const orgIds = distinct([
            event.namespace === null ? null : (found.namespaces[event.namespace] ?? null),
            event.aidA === null ? null : (found.agents[event.aidA] ?? null),
            event.aidB === null ? null : (found.agents[event.aidB] ?? null)
          ])
          return orgIds.length === 0 ? everyone : orgIds
        }
        return { version, subscribed, of }
      }, Effect.orDie)

      const appending = Effect.fnUntraced(function* <A, E, R, E2, R2>(
        makeEvents: Effect.Effect<ReadonlyArray<NewEvent>, E, R>,
        append: (events: ReadonlyArray<NewEvent>, owners: Owners) => Effect.Effect<A | Stale, E2, R2>
      ) {
        for (let tries = 0; tries < MAX_TRIES; tries += 1) {
          const events = yield* makeEvents
          const answer = yield* append(events, yield* lookUp(events, tries > 0))
          if (!(answer instanceof Stale)) return answer
        }
        return yield* Effect.die(new Error(`what an append depends on changed ${MAX_TRIES} times in a row`))
      })

      return { appending }
    })
  )
}
