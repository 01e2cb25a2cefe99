import { Result, Schema } from "effect"
import { parsePosition, startOf, formatPosition } from "../../../src/stream/position.ts"
import { cursors, Instant, linkToNext, type ListIdentity } from "../../../src/wire/page.ts"
import * as Query from "../../../src/wire/query.ts"
import { assertThat, type Target } from "../target.ts"

const list: ListIdentity = {
  route: "/api/events/history",
  filters: { type: "x" },
  order: "ts desc, seq desc",
  visibility: "all"
}
const other: ListIdentity = { ...list, filters: { type: "y" } }

const pages = cursors(Schema.Struct({ ts: Instant, seq: Schema.Int }))
const cursor = pages.after(list, { ts: new Date("2026-01-02T03:04:05.678Z"), seq: 7 })
const decoded = Buffer.from(cursor, "base64url").toString()

const MAX_LIMIT = 1000
const query = Query.make({
  limit: Query.limit({ default: 100, max: MAX_LIMIT }),
  offset: Query.offset,
  since: Query.instant(["since"], "from"),
  id: Query.uuid(["id"], "id"),
  type: Query.text(["type"], "type")
})

const checkQuery = (input: string): string => {
  const read = query.read({ limit: input, offset: input, since: input, id: input, type: input })
  const limited = query.read({ limit: input })
  assertThat(
    Result.isSuccess(limited) && limited.success.limit >= 1 && limited.success.limit <= MAX_LIMIT,
    "every limit is clamped"
  )
  if (Result.isFailure(read)) return read.failure.error.slice(0, 10)
  const { offset, since } = read.success
  assertThat(
    Number.isSafeInteger(offset) && offset >= 0 && offset <= Query.MAX_OFFSET,
    "an offset is bounded"
  )
  assertThat(since === undefined || !Number.isNaN(since.getTime()), "a time is one")
  return "read"
}

const checkPosition = (input: string): string => {
  const asked = parsePosition(input)
  const start = startOf(asked, { epoch: "0123abcd", head: 50, oldest: 10 }, () => 3)
  if (asked._tag === "after") {
    const text = asked.epoch === undefined ? String(asked.seq) : formatPosition(asked.epoch, asked.seq)
    assertThat(text === input, "a position has one spelling")
  }
  if (start._tag === "after" && asked._tag !== "nothing")
    assertThat(start.seq >= 9 && start.seq <= 50, "reading begins within the ledger")
  return `${asked._tag} ${start._tag}`
}

const checkCursor = (text: string): string => {
  const read = pages.read(list, text)
  const foreign = pages.read(other, text)
  if (Result.isFailure(read)) return Result.isFailure(foreign) ? "refused" : "of the other list"
  const position = read.success
  assertThat(Result.isFailure(foreign), "a cursor belongs to one list")
  assertThat(position !== undefined && Number.isSafeInteger(position.seq), "a position is whole")
  if (position === undefined) return "none"
  const again = pages.read(list, pages.after(list, position))
  assertThat(
    Result.isSuccess(again) && JSON.stringify(again.success) === JSON.stringify(position),
    "a position is written as it was read"
  )
  return "read"
}

/** Cursors of lists (as sent, and with their JSON changed), positions of the stream, and query values. */
export const cursorsAndPositions: Target = {
  name: "cursors",
  seeds: [
    cursor,
    decoded,
    "0123abcd.42",
    "17",
    "earliest",
    "latest",
    "1.5e3",
    "2026-01-02T03:04:05Z",
    "0b9a4c6e-1b1f-4b5e-8f2a-0123456789ab"
  ],
  dictionary: [
    '"seq":',
    '"ts":',
    "2026-02-30",
    "-271821-04-20T00:00:00.000Z",
    "0000-01-01",
    "1e300",
    "null",
    "0123abcd."
  ],
  run: (input) => {
    const link = linkToNext(
      `/api/x?${encodeURIComponent(input.toWellFormed())}&offset=1`,
      input.toWellFormed()
    )
    assertThat(!/[\r\n]/.test(link), "a link stays on its line")
    const asJson = checkCursor(Buffer.from(input).toString("base64url"))
    return `${checkCursor(input)}, ${asJson}, ${checkPosition(input)}, ${checkQuery(input)}`
  }
}
