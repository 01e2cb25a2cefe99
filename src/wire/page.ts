import { createHash } from "node:crypto"
import { Result, Schema, SchemaTransformation } from "effect"
import { CursorInvalid } from "./errors.ts"

/** What a cursor belongs to; with any other list it is refused, so a page never continues something else in silence. */
export interface ListIdentity {
  /** Route template, with the path values that choose the list. */
  readonly route: string
  /** Filters in force, by name; absent and undefined are the same. */
  readonly filters: Readonly<Record<string, string | number | boolean | Date | undefined>>
  /** Columns and direction of the order. */
  readonly order: string
  /** `visibilityKey` of the caller. */
  readonly visibility: string
}

const MAX_CURSOR_LENGTH = 2048

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** The database has no year 0. */
const YEAR_1 = Date.parse("0001-01-01T00:00:00.000Z")

/** A time in a cursor: nothing but what `toISOString` writes, because cursors come back from outside. */
export const Instant = Schema.String.check(
  Schema.makeFilter((text: string) => INSTANT.test(text) && Date.parse(text) >= YEAR_1, {
    expected: "an instant"
  })
).pipe(
  Schema.decodeTo(
    Schema.Date,
    SchemaTransformation.transform({ decode: (text) => new Date(text), encode: (date) => date.toISOString() })
  )
)

const digestOf = (list: ListIdentity): string => {
  const filters = Object.entries(list.filters).filter(([, value]) => value !== undefined)
  const identity = [list.route, filters.toSorted(([a], [b]) => (a < b ? -1 : 1)), list.order, list.visibility]
  return createHash("sha256").update(JSON.stringify(identity)).digest("base64url").slice(0, 16)
}

/** The database takes no NUL, and no cursor made here has one. */
const refuseNul = (_key: string, value: unknown): unknown => {
  if (typeof value === "string" && value.includes("\0")) throw new TypeError("NUL in a cursor")
  return value
}

/** The JSON in a cursor; undefined when it is none. */
const parse = (text: string): unknown => {
  if (text.length > MAX_CURSOR_LENGTH) return undefined
  const bytes = Buffer.from(text, "base64url")
  if (bytes.toString("base64url") !== text) return undefined // other spellings of the same bytes
  try {
    return JSON.parse(bytes.toString("utf8"), refuseNul)
  } catch {
    return undefined
  }
}

/** Cursors of one list: `Position` is the schema of the sort key of a row, JSON values only. */
export const cursors = <A, I>(Position: Schema.Codec<A, I>) => {
  const Cursor = Schema.Tuple([Schema.String, Position])
  const decode = Schema.decodeUnknownResult(Cursor)
  const encode = Schema.encodeSync(Cursor)

  return {
    /** Cursor that continues the list after the row with this position. */
    after: (list: ListIdentity, position: A): string =>
      Buffer.from(JSON.stringify(encode([digestOf(list), position]))).toString("base64url"),
    /** Position of a cursor of this list; undefined when none was given. */
    read: (list: ListIdentity, text: string | undefined): Result.Result<A | undefined, CursorInvalid> => {
      if (text === undefined) return Result.succeed(undefined)
      const cursor = decode(parse(text))
      return Result.isSuccess(cursor) && cursor.success[0] === digestOf(list)
        ? Result.succeed(cursor.success[1])
        : Result.fail(new CursorInvalid({}))
    }
  }
}

/** One page of a list. */
export interface Page<Row> {
  readonly rows: ReadonlyArray<Row>
  /** Continues after the last row; null on the last page. */
  readonly nextCursor: string | null
}

/** Cuts a page out of rows fetched with a limit one larger: the extra row says that there is more. */
export const pageOf = <Row>(
  fetched: ReadonlyArray<Row>,
  limit: number,
  cursorAfter: (last: Row) => string
): Page<Row> => {
  if (fetched.length <= limit) return { rows: fetched, nextCursor: null }
  const rows = fetched.slice(0, limit)
  const last = rows.at(-1)
  return { rows, nextCursor: last === undefined ? null : cursorAfter(last) }
}

/** `Link` header of a page, from the path and query the page was asked with. */
export const linkToNext = (url: string, nextCursor: string): string => {
  const [path = "", search = ""] = url.split("?", 2)
  const params = new URLSearchParams(search)
  params.delete("offset")
  params.set("cursor", nextCursor)
  return `<${path}?${params.toString()}>; rel="next"`
}
