import { Effect, Option, Stream } from "effect"

/** Reading long lists whole: page by page for who reads lines, and cut to a size that memory holds for one document. */

/** Rows read from the database at a time: what a slow reader costs. */
const PAGE = 500

/** Size of one JSON document in bytes from which on nothing more is put in; what exceeds it is read as JSON lines. */
const MAX_DOCUMENT_BYTES = 67_108_864

/** A list that is read page by page. */
export interface Listing<Row, Position> {
  /** Rows behind a position; holds one more than `limit` when there are more. */
  readonly read: (limit: number, after: Position | undefined) => Effect.Effect<ReadonlyArray<Row>>
  readonly positionOf: (row: Row) => Position
  /** Where to begin; unset: at the first row. */
  readonly after?: Position | undefined
  /** Most rows of all pages together; unset: all. */
  readonly limit?: number
}

/** The pages of a list; each is read when the one before it has been taken. */
export const pagesOf = <Row, Position>(listing: Listing<Row, Position>): Stream.Stream<ReadonlyArray<Row>> =>
  Stream.paginate(
    { left: listing.limit ?? Number.POSITIVE_INFINITY, after: listing.after },
    Effect.fnUntraced(function* ({ after, left }) {
      const size = Math.min(left, PAGE)
      const found = yield* listing.read(size, after)
      const page = found.slice(0, size)
      const last = page.at(-1)
      const rest = left - page.length
      const more = found.length > size && rest > 0 && last !== undefined
      const next = more ? Option.some({ left: rest, after: listing.positionOf(last) }) : Option.none()
      return [[page], next] as const
    })
  )

/** Lines of `{kind, record}`, a page at a time; `render` gives the JSON of a row. */
export const linesOf = <Row>(
  kind: string,
  pages: Stream.Stream<ReadonlyArray<Row>>,
  render: (row: Row) => string
): Stream.Stream<string> =>
  Stream.map(pages, (rows) => rows.map((row) => `{"kind":"${kind}","record":${render(row)}}\n`).join(""))

/** The part of a list that went into a document. */
export interface Taken<Row> {
  /** JSON text of the array. */
  readonly json: string
  readonly count: number
  readonly last: Row | undefined
  /** There are rows behind `last`. */
  readonly more: boolean
}

/** What goes into one JSON document: lists one after the other, as long as there is room. */
export class DocumentRoom {
  #left = MAX_DOCUMENT_BYTES

  /** Takes at most `limit` rows; the first of a document always fits. */
  take<Row, Position>(
    listing: Listing<Row, Position>,
    limit: number,
    render: (row: Row) => string
  ): Effect.Effect<Taken<Row>> {
    return Effect.gen({ self: this }, function* () {
      const texts: Array<string> = []
      let last: Row | undefined
      let more = false
      yield* Stream.runForEachWhile(pagesOf({ ...listing, limit: limit + 1 }), (rows) =>
        Effect.sync(() => {
          for (const row of rows) {
            more = texts.length === limit || this.#left <= 0
            if (more) return false
            const text = render(row)
            this.#left -= Buffer.byteLength(text)
            texts.push(text)
            last = row
          }
          return true
        })
      )
      return { json: `[${texts.join(",")}]`, count: texts.length, last, more }
    })
  }
}
