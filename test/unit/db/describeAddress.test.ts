import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { describeAddress } from "../../../src/db/DbTarget.ts"

describe("describeAddress", () => {
  it.each([
    ["postgres://me:s3cret@db.example:6543/cp?sslmode=require", "cp at db.example:6543 as me"],
    ["postgres://me:s3cret@db.example/", "me at db.example:5432 as me"],
    ["postgres:///cp?host=/run/pg&user=me&password=s3cret", "cp at /run/pg:5432 as me"],
    ["postgresql://localhost", "the default database at localhost:5432"]
  ])("names %s without its password", (url, text) => {
    assert.strictEqual(describeAddress({ url: Redacted.make(url) }), text)
  })

  it("names the parts without the password", () => {
    const address = {
      host: "/tmp/x",
      port: 5432,
      username: "postgres",
      password: Redacted.make("s3cret"),
      database: "cp"
    }
    assert.strictEqual(describeAddress(address), "cp at /tmp/x:5432 as postgres")
  })
})
