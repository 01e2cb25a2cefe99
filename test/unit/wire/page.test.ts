import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as fc from "fast-check"
import { cursors, linkToNext, type ListIdentity, pageOf } from "../../../src/wire/page.ts"

const positions = cursors(Schema.Tuple([Schema.String, Schema.Finite]))

const list: ListIdentity = {
  route: "/api/sessions",
  filters: { aid: "aid:pubkey:a", since: undefined },
  order: "created_at desc",
  visibility: "all"
}

const read = (identity: ListIdentity, cursor: string | undefined) => positions.read(identity, cursor)
const isRefused = (result: Result.Result<unknown, { readonly code: string }>) =>
  Result.isFailure(result) && result.failure.code === "CURSOR_INVALID"

describe("a cursor", () => {
  const cursor = positions.after(list, ["2026-01-01T00:00:00.000Z", 7])

  it("gives back the position it was made of", () => {
    assert.deepStrictEqual(Result.getOrThrow(read(list, cursor)), ["2026-01-01T00:00:00.000Z", 7])
  })

  it("is opaque base64url", () => {
    assert.match(cursor, /^[\w-]+$/)
  })

  it("absent means the first page", () => {
    assert.isUndefined(Result.getOrThrow(read(list, undefined)))
  })

  it("belongs to its list whatever the order the filters are named in", () => {
    const same = { ...list, filters: { since: undefined, aid: "aid:pubkey:a" } }
    assert.isTrue(Result.isSuccess(read(same, cursor)))
  })

  const foreign: Record<string, ListIdentity> = {
    "another route": { ...list, route: "/api/tcts" },
    "another filter value": { ...list, filters: { aid: "aid:pubkey:b" } },
    "one filter more": { ...list, filters: { aid: "aid:pubkey:a", status: "complete" } },
    "no filter": { ...list, filters: {} },
    "another order": { ...list, order: "created_at asc" },
    "another caller's visibility": { ...list, visibility: "0190b6c8-7e2a-7abc-8def-0123456789ab" }
  }
  for (const [name, identity] of Object.entries(foreign)) {
    it(`is refused for ${name}`, () => assert.isTrue(isRefused(read(identity, cursor))))
  }

  it("is refused when it has a position of another form", () => {
    const others = cursors(Schema.Tuple([Schema.Finite]))
    assert.isTrue(isRefused(others.read(list, cursor)))
  })

  it("is refused when it carries NUL", () => {
    const [digest] = JSON.parse(Buffer.from(cursor, "base64url").toString()) as [string]
    const forged = Buffer.from(JSON.stringify([digest, ["a\0", 1]])).toString("base64url")
    assert.isTrue(isRefused(read(list, forged)))
  })

  it("is refused with padding, spaces or a second spelling of its bytes", () => {
    for (const other of [`${cursor}=`, ` ${cursor}`, `${cursor}\n`, cursor.slice(0, -1)]) {
      assert.isTrue(isRefused(read(list, other)), JSON.stringify(other))
    }
  })

  it("survives every position", () => {
    const text = fc.string({ unit: "grapheme" }).filter((value) => !value.includes("\0"))
    fc.assert(
      fc.property(text, fc.integer(), (at, n) => {
        assert.deepStrictEqual(Result.getOrThrow(read(list, positions.after(list, [at, n]))), [at, n])
      })
    )
  })

  it("is refused, never thrown on, whatever is sent", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String(), fc.string({ minLength: 2100 })), (sent) => {
        const result = read(list, sent)
        return isRefused(result)
      })
    )
  })
})

describe("a page", () => {
  it("has a next cursor when one row more was found", () => {
    assert.deepStrictEqual(
      pageOf([1, 2, 3], 2, (last) => `after ${last}`),
      { rows: [1, 2], nextCursor: "after 2" }
    )
  })

  it("is the last one otherwise", () => {
    assert.deepStrictEqual(
      pageOf([1, 2], 2, () => "x"),
      { rows: [1, 2], nextCursor: null }
    )
    assert.deepStrictEqual(
      pageOf([], 2, () => "x"),
      { rows: [], nextCursor: null }
    )
  })

  it("links to the next one with the same query, without offset", () => {
    assert.strictEqual(
      linkToNext("/api/sessions?status=complete&offset=20&cursor=old", "new"),
      '</api/sessions?status=complete&cursor=new>; rel="next"'
    )
    assert.strictEqual(linkToNext("/api/sessions", "c"), '</api/sessions?cursor=c>; rel="next"')
  })
})
