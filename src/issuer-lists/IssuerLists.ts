import { Context, Effect, Layer, Option } from "effect"
import type { Visibility } from "../access/Visibility.ts"
import { parseAid, spellingsOf } from "../aitp/aid.ts"
import { byteaArray, textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { type Lease, stillHeld } from "../jobs/Leases.ts"
import { visibleAgents } from "../registry/discovery.ts"
import { issuerListOf, type ListRow } from "./list-row.ts"
import type { FailureKind, IssuerList, ListCopy, ListPlace, SoundList } from "./model.ts"

/** A registered manifest that nobody has looked into yet. */
export interface UnreadManifest {
  readonly aid: string
  readonly manifestSha256: Uint8Array
  /** The registered body as received. */
  readonly manifestJson: string
}

/** Where a manifest says that the list is; undefined: nowhere. */
export interface ReadManifest extends Omit<UnreadManifest, "manifestJson"> {
  readonly place: ListPlace | undefined
}

/** A list whose turn it is, and what is known of it. */
export interface DueList extends ListPlace {
  readonly aid: string
  /** URL that the copy came from, and its entity tag there. */
  readonly source: string | null
  readonly etag: string | null
  /** Of the copy, Unix seconds; null while there is none. */
  readonly publishedAt: number | null
  readonly expiresAt: number | null
  readonly entriesSha256: Uint8Array | null
  /** Of the attempts since the last success. */
  readonly failure: FailureKind | null
  readonly failures: number
}

/** What came of an attempt. */
export type PollOutcome =
  | {
      readonly _tag: "Received"
      readonly body: Uint8Array
      readonly list: SoundList
      readonly source: string
      readonly etag: string | null
    }
  | { readonly _tag: "Unchanged" }
  | { readonly _tag: "Failed"; readonly kind: FailureKind; readonly reason: string }

/** A page of lists, in order of their agents' AIDs. */
export interface IssuerListQuery {
  readonly limit: number
  readonly offset: number
  /** Continue behind the list of this agent. */
  readonly after: { readonly aid: string } | undefined
}

/** Store of the lists that agents publish. */
export class IssuerLists extends Context.Service<
  IssuerLists,
  {
    /** Manifests of active agents that are not the ones looked into. */
    readonly unread: (limit: number) => Effect.Effect<ReadonlyArray<UnreadManifest>>
    /** Keeps where these manifests say that the lists are; a new place is due at once. */
    readonly note: (manifests: ReadonlyArray<ReadManifest>) => Effect.Effect<void>
    /** Decides which lists are fetched at all, see `schedule_issuer_lists_v1`. */
    readonly schedule: (max: number) => Effect.Effect<void>
    /**
     * Takes the list that has been due for longest and lies on none of these hosts; it is due again in so many ms unless
     * the attempt is settled. None when there is none, or the lease is lost.
     */
    readonly takeDue: (
      lease: Lease,
      busyHosts: Iterable<string>,
      againInMs: number
    ) => Effect.Effect<Option.Option<DueList>>
    /**
     * Stores what came of an attempt, and that the next is due in so many ms; a failure leaves the copy. False when the
     * lease is lost, the agent is gone or the copy is a later one: nothing was stored.
     */
    readonly settle: (
      lease: Lease,
      aid: string,
      outcome: PollOutcome,
      nextInMs: number
    ) => Effect.Effect<boolean>
    /** Gives a list back, to be fetched by another. */
    readonly release: (lease: Lease, aid: string) => Effect.Effect<void>
    /** Holds one list more than `limit` when there are more. */
    readonly list: (
      query: IssuerListQuery,
      visibility: Visibility
    ) => Effect.Effect<ReadonlyArray<IssuerList>>
    /** By either spelling of the agent's AID. */
    readonly findByAid: (aid: string, visibility: Visibility) => Effect.Effect<Option.Option<IssuerList>>
    /** The copy of this agent's list with its bytes; its AID as `findByAid` gives it. */
    readonly readCopy: (aid: string) => Effect.Effect<Option.Option<ListCopy & { readonly body: Uint8Array }>>
  }
>()("cp/issuer-lists/IssuerLists") {
  static readonly layer = Layer.effect(
    IssuerLists,
    Effect.gen(function* () {
      const { sql } = yield* Db

      const fromNow = (ms: number) => sql`clock_timestamp() + make_interval(secs => ${ms / 1000}::float8)`

      const unread = Effect.fn("IssuerLists.unread")(function* (limit: number) {
        return yield* sql<UnreadManifest>`
          select a.aid, a.manifest_sha256, a.manifest_json
          from agents a left join issuer_lists l on l.aid = a.aid
          where a.status = 'active' and l.manifest_sha256 is distinct from a.manifest_sha256
          order by a.aid limit ${limit}::int`
      }, Effect.orDie)

      const note = Effect.fn("IssuerLists.note")(function* (manifests: ReadonlyArray<ReadManifest>) {
        if (manifests.length === 0) return
        yield* sql`
          insert into issuer_lists as l (aid, manifest_sha256, manifest_expires_at, uri, host)
          select a.aid, a.manifest_sha256, a.manifest_expires_at, m.uri, m.host
          from unnest(
            ${textArray(manifests.map(({ aid }) => aid))},
            ${byteaArray(manifests.map(({ manifestSha256 }) => manifestSha256))},
            ${textArray(manifests.map(({ place }) => place?.uri ?? null))},
            ${textArray(manifests.map(({ place }) => place?.host ?? null))}
          ) as m (aid, manifest_sha256, uri, host)
          join agents a on a.aid = m.aid and a.manifest_sha256 = m.manifest_sha256
          on conflict (aid) do update set
            manifest_sha256 = excluded.manifest_sha256,
            manifest_expires_at = greatest(l.manifest_expires_at, excluded.manifest_expires_at),
            uri = excluded.uri, host = excluded.host,
            -- How another place behaved says nothing about this one.
            due_at = case when excluded.uri = l.uri then l.due_at end,
            failure = case when excluded.uri = l.uri then l.failure end,
            failure_reason = case when excluded.uri = l.uri then l.failure_reason end,
            failures = case when excluded.uri = l.uri then l.failures else 0 end,
            failing_since = case when excluded.uri = l.uri then l.failing_since end`
      }, Effect.orDie)

      const schedule = Effect.fn("IssuerLists.schedule")(function* (max: number) {
        yield* sql`select schedule_issuer_lists_v1(${max}::int)`
      }, Effect.orDie)

      const takeDue = Effect.fn("IssuerLists.takeDue")(function* (
        lease: Lease,
        busyHosts: Iterable<string>,
        againInMs: number
      ) {
        const [due] = yield* sql<DueList>`
          update issuer_lists l set due_at = ${fromNow(againInMs)}
          where l.aid = (
            select d.aid from issuer_lists d join agents a on a.aid = d.aid
            where d.due_at <= clock_timestamp() and d.host <> all(${textArray([...busyHosts])})
              and a.status = 'active' and a.manifest_expires_at > clock_timestamp() and a.integrity_ok
            order by d.due_at limit 1) and ${stillHeld(sql, lease)}
          returning
            l.aid, l.uri, l.host, l.source, l.etag, l.published_at::float8 as published_at,
            l.expires_at::float8 as expires_at, l.entries_sha256, l.failure, l.failures`
        return Option.fromUndefinedOr(due)
      }, Effect.orDie)

      const succeeded = sql`
        checked_at = date_trunc('milliseconds', clock_timestamp()), failure = null, failure_reason = null, failures = 0,
        failing_since = null`

      const changeOf = (outcome: PollOutcome) => {
        switch (outcome._tag) {
          case "Received": {
            const { body, etag, list, source } = outcome
            return sql`
              ${succeeded}, body = ${body}::bytea, sha256 = ${list.sha256}::bytea,
              published_at = ${list.publishedAt}::bigint, expires_at = ${list.expiresAt}::bigint,
              entries = ${list.entries}::int, ids = ${list.ids}::text::uuid[],
              entries_sha256 = ${list.entriesSha256}::bytea, form = ${list.form}, source = ${source}, etag = ${etag}::text`
          }
          case "Unchanged":
            return succeeded
          case "Failed":
            return sql`
              failure = ${outcome.kind}, failure_reason = ${outcome.reason}, failures = failures + 1,
              failing_since = coalesce(failing_since, date_trunc('milliseconds', clock_timestamp()))`
        }
      }

      const settle = Effect.fn("IssuerLists.settle")(function* (
        lease: Lease,
        aid: string,
        outcome: PollOutcome,
        nextInMs: number
      ) {
        const newer =
          outcome._tag === "Received"
            ? sql`coalesce(l.published_at, 0) <= ${outcome.list.publishedAt}::bigint`
            : sql`true`
        const rows = yield* sql`
          update issuer_lists l set ${changeOf(outcome)},
            due_at = case when l.due_at is not null then ${fromNow(nextInMs)} end
          where l.aid = ${aid} and ${newer} and ${stillHeld(sql, lease)}
          returning l.aid`
        return rows.length === 1
      }, Effect.orDie)

      const release = Effect.fn("IssuerLists.release")(function* (lease: Lease, aid: string) {
        yield* sql`
          update issuer_lists l set due_at = clock_timestamp()
          where l.aid = ${aid} and l.due_at is not null and ${stillHeld(sql, lease)}`
      }, Effect.orDie)

      const copyColumns = sql`
        l.sha256, l.published_at::float8 as published_at, l.expires_at::float8 as expires_at, l.entries, l.form,
        l.checked_at, greatest(extract(epoch from clock_timestamp() - l.checked_at), 0)::float8 as age_secs,
        (l.expires_at - extract(epoch from clock_timestamp()))::float8 as valid_for_secs`

      const rowColumns = sql`
        l.aid, l.uri, l.due_at, l.failure, l.failure_reason, l.failures, l.failing_since, ${copyColumns}`

      const named = sql`(l.uri is not null or l.sha256 is not null)`

      const list = Effect.fn("IssuerLists.list")(function* (
        { after, limit, offset }: IssuerListQuery,
        visibility: Visibility
      ) {
        const rows = yield* sql<ListRow>`
          select ${rowColumns} from issuer_lists l join agents a on a.aid = l.aid
          where ${named} and ${visibleAgents(sql, visibility)}
            and ${after === undefined ? sql`true` : sql`l.aid > ${after.aid}`}
          order by l.aid limit ${limit + 1}::int offset ${offset}::int`
        return rows.map(issuerListOf)
      }, Effect.orDie)

      const findByAid = Effect.fn("IssuerLists.findByAid")(function* (text: string, visibility: Visibility) {
        const aid = parseAid(text)
        if (aid === undefined) return Option.none()
        const [row] = yield* sql<ListRow>`
          select ${rowColumns} from issuer_lists l join agents a on a.aid = l.aid
          where l.aid = any(${spellingsOf(aid)}) and ${named} and ${visibleAgents(sql, visibility)}`
        return Option.map(Option.fromUndefinedOr(row), issuerListOf)
      }, Effect.orDie)

      const readCopy = Effect.fn("IssuerLists.readCopy")(function* (aid: string) {
        const [copy] = yield* sql<ListCopy & { readonly body: Uint8Array }>`
          select ${copyColumns}, l.body from issuer_lists l where l.aid = ${aid} and l.body is not null`
        return Option.fromUndefinedOr(copy)
      }, Effect.orDie)

      return { unread, note, schedule, takeDue, settle, release, list, findByAid, readCopy }
    })
  )
}
