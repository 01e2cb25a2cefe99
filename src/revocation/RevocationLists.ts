import { Context, Effect, Layer, Option } from "effect"
import { textArray } from "../db/arrays.ts"
import { BackgroundDb, Db } from "../db/Db.ts"
import type { ListSnapshot } from "./model.ts"
import type { Claim } from "./PublicationClaims.ts"

/** Entries that come in one row: the driver takes no row above 16 MiB, and an entry may have 3 KiB. */
const ENTRIES_PER_ROW = 2000
/** Bytes of a body that come in one row. */
const BYTES_PER_ROW = 1_048_576

/** All entries as of one moment. */
export interface ReadEntries {
  /** UTF-8, see `list-text.ts`. */
  readonly text: Uint8Array
  readonly count: number
  /** Position of the newest entry's event, in the list or dropped from it. */
  readonly coversSeq: number
  /** When it was decided what has been dropped. */
  readonly readAt: Date
}

/** A version to be stored. */
export interface NewVersion extends Omit<ListSnapshot, "version" | "changed"> {
  readonly added: ReadonlyArray<string>
  readonly removed: ReadonlyArray<string>
  readonly inputHash: Uint8Array
}

/** A version whose event the ledger does not have yet. */
export type Unannounced = Pick<ListSnapshot, "version" | "publishedAt" | "entries" | "sha256">

type Described = Omit<ListSnapshot, "body" | "gzip" | "br">

/** Store of the published lists. */
export class RevocationLists extends Context.Service<
  RevocationLists,
  {
    /** The entries that a list names, in its order, in one snapshot of the database. */
    readonly readEntries: Effect.Effect<ReadEntries>
    /** Those of the given ids whose entries may leave the list since `at`. */
    readonly droppable: (jtis: ReadonlyArray<string>, at: Date) => Effect.Effect<ReadonlySet<string>>
    /** Stores the version after the one claimed and gives the claim back; false, and nothing is stored, when it is lost. */
    readonly publish: (claim: Claim, version: NewVersion) => Effect.Effect<boolean>
    /** Which version is the newest. */
    readonly newest: Effect.Effect<Option.Option<Pick<ListSnapshot, "version" | "sha256">>>
    /** The newest version without its bodies, and its age in seconds by the database's clock. */
    readonly describeNewest: Effect.Effect<Option.Option<Described & { readonly ageSecs: number }>>
    /** A version with its bodies; none when there is none or its bodies are gone. */
    readonly load: (version: number) => Effect.Effect<Option.Option<ListSnapshot>>
    /** Versions whose entries changed and that have not been announced, oldest first. */
    readonly unannounced: (limit: number) => Effect.Effect<ReadonlyArray<Unannounced>>
    readonly markAnnounced: (versions: ReadonlyArray<number>) => Effect.Effect<void>
  }
>()("cp/revocation/RevocationLists") {
  static readonly layer = Layer.effect(
    RevocationLists,
    Effect.gen(function* () {
      const { sql } = yield* Db
      // Large enough to keep others waiting, and not asked for by a request.
      const background = (yield* BackgroundDb).sql

      // What an entry reads like is decided here alone. `to_json` escapes exactly what RFC 8785 §3.2.2.2 escapes.
      const readEntries = background<{
        readonly text: Uint8Array | null
        readonly count: number | null
        readonly coversSeq: number
        readonly readAt: Date
      }>`
        with moment as materialized (
          select
            coalesce(max(e.event_seq), 0)::float8 as covers_seq,
            date_trunc('milliseconds', statement_timestamp()) as read_at
          from revocation_entries e
        ),
        listed as (
          select
            '{"jti":"' || e.jti || '"' || coalesce(',"reason":' || to_json(e.reason), '') || ',"revoked_at":' || e.secs
              || '}' as entry,
            row_number() over (order by e.secs, e.jti) - 1 as n
          from (
            select e.jti, e.reason, floor(extract(epoch from e.revoked_at))::bigint as secs
            from revocation_entries e cross join moment m
            where e.drop_after is null or e.drop_after > m.read_at
          ) as e
        ),
        part as (
          select
            l.n / ${ENTRIES_PER_ROW} as part, count(*)::int as count,
            convert_to(case when min(l.n) > 0 then ',' else '' end || string_agg(l.entry, ',' order by l.n), 'UTF8') as text
          from listed l
          group by 1
        )
        select p.text, p.count, m.covers_seq, m.read_at from moment m left join part p on true order by p.part`.pipe(
        Effect.flatMap((rows) => {
          const [first] = rows
          if (first === undefined) return Effect.die(new Error("the entries gave no row"))
          const parts = rows.flatMap(({ text }) => (text === null ? [] : [text]))
          return Effect.succeed({
            text: joined(parts),
            count: rows.reduce((sum, { count }) => sum + (count ?? 0), 0),
            coversSeq: first.coversSeq,
            readAt: first.readAt
          })
        }),
        Effect.withSpan("RevocationLists.readEntries"),
        Effect.orDie
      )

      const droppable = Effect.fn("RevocationLists.droppable")(function* (
        jtis: ReadonlyArray<string>,
        at: Date
      ) {
        const rows = yield* sql<{ readonly jti: string }>`
          select e.jti from revocation_entries e
          where e.jti = any(${textArray(jtis)}::uuid[]) and e.drop_after <= ${at}::timestamptz`
        return new Set(rows.map(({ jti }) => jti))
      }, Effect.orDie)

      const publish = Effect.fn("RevocationLists.publish")(function* (claim: Claim, next: NewVersion) {
        const [row] = yield* sql<{ readonly published: boolean }>`
          select publish_revocation_list_v1(
            ${claim.term}::bigint, ${claim.version}::bigint, ${next.publishedAt}::bigint, ${next.expiresAt}::bigint,
            ${next.entries}::int, ${next.sha256}::bytea, convert_from(${next.body}::bytea, 'UTF8'),
            ${next.gzip}::bytea, ${next.br}::bytea, ${next.coversSeq}::bigint, ${next.inputHash}::bytea,
            ${textArray(next.added)}::uuid[], ${textArray(next.removed)}::uuid[]) as published`
        return row?.published === true
      }, Effect.orDie)

      const newest = sql<Pick<ListSnapshot, "version" | "sha256">>`
        select l.version::float8 as version, l.sha256 from revocation_lists l order by l.version desc limit 1`.pipe(
        Effect.map(([row]) => Option.fromUndefinedOr(row)),
        Effect.withSpan("RevocationLists.newest"),
        Effect.orDie
      )

      const description = sql`
        l.version::float8 as version, l.published_at::float8 as published_at, l.expires_at::float8 as expires_at,
        l.entries, l.covers_seq::float8 as covers_seq, l.changed, l.sha256`

      const describeNewest = sql<Described & { readonly ageSecs: number }>`
        select ${description}, greatest(extract(epoch from clock_timestamp()) - l.published_at, 0)::float8 as age_secs
        from revocation_lists l order by l.version desc limit 1`.pipe(
        Effect.map(([row]) => Option.fromUndefinedOr(row)),
        Effect.withSpan("RevocationLists.describeNewest"),
        Effect.orDie
      )

      const load = Effect.fn("RevocationLists.load")(function* (version: number) {
        const rows = yield* sql<Described & { readonly form: string; readonly bytes: Uint8Array }>`
          with form as materialized (
            select ${description}, f.form, f.bytes
            from revocation_lists l
            cross join lateral (values
              ('body', convert_to(l.body, 'UTF8')), ('gzip', l.body_gzip), ('br', l.body_br)
            ) as f (form, bytes)
            where l.version = ${version}::bigint
          )
          select
            f.version, f.published_at, f.expires_at, f.entries, f.covers_seq, f.changed, f.sha256, f.form,
            substr(f.bytes, n, ${BYTES_PER_ROW}) as bytes
          from form f cross join lateral generate_series(1, length(f.bytes), ${BYTES_PER_ROW}) as n
          order by f.form, n`
        const [first] = rows
        if (first === undefined) return Option.none()
        const bytesOf = (form: string) =>
          joined(rows.filter((row) => row.form === form).map(({ bytes }) => bytes))
        const { form: _, bytes: __, ...described } = first
        return Option.some({ ...described, body: bytesOf("body"), gzip: bytesOf("gzip"), br: bytesOf("br") })
      }, Effect.orDie)

      const unannounced = Effect.fn("RevocationLists.unannounced")(function* (limit: number) {
        return yield* sql<Unannounced>`
          select version::float8 as version, published_at::float8 as published_at, entries, sha256
          from revocation_lists l where not l.announced order by l.version limit ${limit}::int`
      }, Effect.orDie)

      const markAnnounced = Effect.fn("RevocationLists.markAnnounced")(function* (
        versions: ReadonlyArray<number>
      ) {
        yield* sql`
          update revocation_lists set announced = true where version = any(${textArray(versions.map(String))}::bigint[])`
      }, Effect.orDie)

      return {
        readEntries,
        droppable,
        publish,
        newest,
        describeNewest,
        load,
        unannounced,
        markAnnounced
      }
    })
  )
}

/** One piece is not copied. */
const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first] = parts
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts)
}
