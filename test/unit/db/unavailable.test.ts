import { assert, describe, it } from "@effect/vitest"
import { Cause, Option } from "effect"
import { SqlError } from "effect/sql"
import { databaseUnavailable, findUnavailable, reasonOf } from "../../../src/db/unavailable.ts"

/** An error as the driver makes it: a reason class by SQLSTATE, the server's fields on its cause. */
const serverError = (code: string) =>
  new SqlError.SqlError({
    reason: new SqlError.UnknownError({
      cause: Object.assign(new Error(`server says ${code}`), { code }),
      message: "query failed"
    })
  })

const connectionError = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({ cause: new Error("connect ECONNREFUSED"), message: "failed" })
})

const unavailable = [
  "08006",
  "25006",
  "25P03",
  "28P01",
  "3D000",
  "40001",
  "40P01",
  "53100",
  "53300",
  "55000",
  "55P03",
  "57014",
  "57P01",
  "57P02",
  "57P03"
]
const faults = [
  "22P02",
  "22P05",
  "23505",
  "25P02",
  "42601",
  "42P01",
  "42501",
  "54000",
  "57000",
  "P0001",
  "XX000"
]

describe("databaseUnavailable", () => {
  it("holds for a lost or refused connection", () => {
    assert.isTrue(databaseUnavailable(connectionError))
  })

  it.each(unavailable)("holds for %s", (code) => {
    assert.isTrue(databaseUnavailable(serverError(code)))
  })

  it.each(faults)("does not hold for %s", (code) => {
    assert.isFalse(databaseUnavailable(serverError(code)))
  })

  it("does not hold for other errors", () => {
    assert.isFalse(databaseUnavailable(new Error("ECONNREFUSED")))
    assert.isFalse(databaseUnavailable(undefined))
    assert.isFalse(databaseUnavailable({ code: "57P01" }))
  })
})

describe("findUnavailable", () => {
  it("sees failures and defects", () => {
    assert.isTrue(Option.isSome(findUnavailable(Cause.fail(connectionError))))
    assert.isTrue(Option.isSome(findUnavailable(Cause.die(serverError("57P01")))))
  })

  it("ignores faults and interruption", () => {
    assert.isTrue(Option.isNone(findUnavailable(Cause.die(serverError("42P01")))))
    assert.isTrue(Option.isNone(findUnavailable(Cause.interrupt(1))))
  })
})

describe("reasonOf", () => {
  it("is what the server said", () => {
    assert.strictEqual(reasonOf(serverError("57P01")), "server says 57P01")
  })
})
