import { Context, Effect, Layer, Option } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { spellingsOf, parseAid } from "../aitp/aid.ts"
import type { CanonicalKey } from "../aitp/keys.ts"
import { byteaArray, textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { adminAct } from "../admin-audit/act.ts"
import { Stale } from "../events/EventOwners.ts"
import { ledgerEvents, LOG_ID, type SealedEvent } from "../events/seal.ts"
import { idempotencyCompletion } from "../idempotency/completion.ts"
import type { Completion } from "../idempotency/model.ts"
import { type AgentQuery, agentColumns, listStatement, visibleAgents } from "./discovery.ts"
import type { Agent, AgentDetails } from "./model.ts"
import { RegistryVersion } from "./RegistryVersion.ts"

/** Everything a verified manifest and its token say about a registration. */
export interface Registration {
  readonly aid: string
  readonly key: CanonicalKey
  readonly displayName: string
  readonly handshakeEndpoint: string
  readonly offeredCaps: ReadonlyArray<string>
  /** The registered body as received. */
  readonly manifestJson: string
  readonly manifestSha256: Uint8Array
  readonly publishedAt: Date
  readonly expiresAt: Date
  readonly conformanceFindings: ReadonlyArray<string>
  readonly namespace: string
  readonly tokenJti: string
  readonly tokenExpiresAt: Date
  /** Whether the event says that the agent was known; the registration is refused as stale when that is wrong. */
  readonly reEnrolled: boolean
}

export interface Registered {
  readonly registeredAt: Date
  readonly lastEnrolledAt: Date
}

export type RegistrationOutcome =
  | ({ readonly _tag: "Registered" } & Registered)
  | { readonly _tag: "Replayed" }
  | { readonly _tag: "Outdated" }
  | { readonly _tag: "OtherSpelling"; readonly aid: string }
  | { readonly _tag: "ReservationLost" }

/** An agent whose manifest has run out. */
export interface OverdueAgent {
  readonly aid: string
  readonly displayName: string
  readonly namespace: string
  readonly manifestSha256: Uint8Array
}

/** What is known of a key before it (re-)enrols. */
export interface KnownAgent {
  readonly aid: string
  readonly status: Agent["status"] | "removed"
  readonly manifestPublishedAt: Date
  readonly manifestSha256: Uint8Array
}

/** Store of registered agents. */
export class Agents extends Context.Service<
  Agents,
  {
    /** A page in order of registration; holds one agent more than `limit` when there are more. */
    readonly list: (
      query: AgentQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<Agent & { readonly manifestJson?: string }>>
    /** By either spelling of its AID, in any status. */
    readonly findByAid: (aid: string, visibility: Visibility) => Effect.Effect<Option.Option<AgentDetails>>
    /** What is known of a key under either spelling, tombstones included. */
    readonly findByKey: (key: CanonicalKey) => Effect.Effect<Option.Option<KnownAgent>>
    /**
     * Spends the token, writes agent, event and audit row and completes the reservation, whose facts get `registeredAt`
     * and `lastEnrolledAt` here, in one call; `Stale`: look again and repeat.
     */
    readonly register: (
      registration: Registration,
      events: ReadonlyArray<SealedEvent>,
      directoryVersion: number,
      act: AdminAct,
      completion: Completion | undefined
    ) => Effect.Effect<RegistrationOutcome | Stale>
    /** Writes status, event and audit row; on an agent already out of service only the audit row `repeated`. */
    readonly deregister: (
      aid: string,
      events: ReadonlyArray<SealedEvent>,
      directoryVersion: number,
      act: AdminAct,
      repeated: AdminAct
    ) => Effect.Effect<"deregistered" | "repeated" | "not_found" | Stale>
    readonly listOverdue: (limit: number) => Effect.Effect<ReadonlyArray<OverdueAgent>>
    /** Expires those that are still due, with their events; the count of these. */
    readonly expire: (
      agents: ReadonlyArray<OverdueAgent>,
      events: ReadonlyArray<SealedEvent>,
      directoryVersion: number
    ) => Effect.Effect<number | Stale>
  }
>()("cp/registry/Agents") {
  static readonly layer = Layer.effect(
    Agents,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const versions = yield* RegistryVersion

      const list = Effect.fn("Agents.list")(function* (query: AgentQuery, visibility: Visibility) {
        return yield* listStatement(sql, query, visibility)
      }, Effect.orDie)

      const findByAid = Effect.fn("Agents.findByAid")(function* (text: string, visibility: Visibility) {
        const aid = parseAid(text)
        if (aid === undefined) return Option.none()
        const [agent] = yield* sql<AgentDetails>`
          select ${agentColumns(sql)}, a.manifest_json, a.org, a.cloud, a.metadata
          from agents a left join agent_last_seen s on s.aid = a.aid
          where a.aid = any(${spellingsOf(aid)}) and ${visibleAgents(sql, visibility)}`
        return Option.fromNullishOr(agent)
      }, Effect.orDie)

      const findByKey = Effect.fn("Agents.findByKey")(function* (key: CanonicalKey) {
        const [known] = yield* sql<KnownAgent>`
          select aid, status, manifest_published_at, manifest_sha256 from (
            select aid, status, manifest_published_at, manifest_sha256
            from agents where key_alg = ${key.alg} and key_raw = ${key.raw}
            union all
            select aid, 'removed', manifest_published_at, manifest_sha256
            from agent_tombstones where key_alg = ${key.alg} and key_raw = ${key.raw}) as known
          order by manifest_published_at desc limit 1`
        return Option.fromNullishOr(known)
      }, Effect.orDie)

      const register = Effect.fn("Agents.register")(
        function* (
          given: Registration,
          events: ReadonlyArray<SealedEvent>,
          directoryVersion: number,
          act: AdminAct,
          completion: Completion | undefined
        ) {
          const arguments_ = sql`
          ${LOG_ID}::smallint, ${directoryVersion}::bigint,
          row(${given.aid}, ${given.key.alg}, ${given.key.raw}::bytea, ${given.displayName},
            ${given.handshakeEndpoint}, ${sql.json(given.offeredCaps)}, ${given.manifestJson},
            ${given.manifestSha256}::bytea, ${given.publishedAt}::timestamptz, ${given.expiresAt}::timestamptz,
            ${sql.json(given.conformanceFindings)}, ${given.namespace}, ${given.tokenJti}::uuid,
            ${given.tokenExpiresAt}::timestamptz, ${given.reEnrolled}::boolean)::agent_registration_v1,
          (${ledgerEvents(sql, events)})[1], ${adminAct(sql, act)}`
          const [row] = yield* sql<{
            readonly outcome: "ok" | "replayed" | "form_conflict" | "stale" | "changed" | "lost"
            readonly existingAid: string
            readonly registeredAt: Date
            readonly enrolledAt: Date
          }>`
          select outcome, existing_aid, registered_at, enrolled_at from ${
            completion === undefined
              ? sql`register_agent_v1(${arguments_})`
              : sql`register_agent_v2(${arguments_}, ${idempotencyCompletion(sql, completion)})`
          }`
          if (row === undefined) return yield* Effect.die(new Error("the registration gave no row"))
          switch (row.outcome) {
            case "ok":
              return {
                _tag: "Registered",
                registeredAt: row.registeredAt,
                lastEnrolledAt: row.enrolledAt
              } as const
            case "replayed":
              return { _tag: "Replayed" } as const
            case "stale":
              return { _tag: "Outdated" } as const
            case "form_conflict":
              return { _tag: "OtherSpelling", aid: row.existingAid } as const
            case "lost":
              return { _tag: "ReservationLost" } as const
            case "changed":
              return new Stale()
          }
        },
        Effect.ensuring(versions.changed),
        Effect.orDie
      )

      const deregister = Effect.fn("Agents.deregister")(
        function* (
          aid: string,
          events: ReadonlyArray<SealedEvent>,
          directoryVersion: number,
          act: AdminAct,
          repeated: AdminAct
        ) {
          const [row] = yield* sql<{ readonly outcome: "ok" | "repeat" | "not_found" | "changed" }>`
          select deregister_agent_v1(
            ${LOG_ID}::smallint, ${directoryVersion}::bigint, ${aid}, (${ledgerEvents(sql, events)})[1],
            ${adminAct(sql, act)}, ${adminAct(sql, repeated)}) as outcome`
          if (row === undefined || row.outcome === "not_found") return "not_found" as const
          if (row.outcome === "changed") return new Stale()
          return row.outcome === "ok" ? ("deregistered" as const) : ("repeated" as const)
        },
        Effect.ensuring(versions.changed),
        Effect.orDie
      )

      const listOverdue = Effect.fn("Agents.listOverdue")(function* (limit: number) {
        return yield* sql<OverdueAgent>`
          select aid, display_name, namespace, manifest_sha256 from agents
          where status = 'active' and manifest_expires_at < clock_timestamp()
          order by manifest_expires_at limit ${limit}::int`
      }, Effect.orDie)

      const expire = Effect.fn("Agents.expire")(
        function* (
          agents: ReadonlyArray<OverdueAgent>,
          events: ReadonlyArray<SealedEvent>,
          directoryVersion: number
        ) {
          const [row] = yield* sql<{ readonly expired: number }>`
          select expire_agents_v1(
            ${LOG_ID}::smallint, ${directoryVersion}::bigint,
            ${textArray(agents.map(({ aid }) => aid))},
            ${byteaArray(agents.map(({ manifestSha256 }) => manifestSha256))},
            ${ledgerEvents(sql, events)}) as expired`
          const expired = row?.expired ?? 0
          return expired < 0 ? new Stale() : expired
        },
        Effect.ensuring(versions.changed),
        Effect.orDie
      )

      return { list, findByAid, findByKey, register, deregister, listOverdue, expire }
    })
  )
}
