import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"

const tests = new URL("../", import.meta.url)
const page = readFileSync(new URL("../docs/security.md", tests), "utf8")

/** Names of the suites in the table, without their ending. */
const listed = new Set(
  [...page.matchAll(/`((?:contract|unit|integration|faults)\/[a-z/-]+)`/gi)].map(([, path]) => path)
)

const existing = new Set(
  readdirSync(tests, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => name.slice(0, -".test.ts".length))
)

describe("the table of attacks", () => {
  it("names suites that exist", () => {
    assert.isAbove(listed.size, 30)
    for (const path of listed) assert.isTrue(existing.has(path ?? ""), path)
  })

  it("has every suite of attacks", () => {
    for (const path of existing)
      if (path.startsWith("contract/attacks-") && path !== "contract/attacks-table")
        assert.isTrue(listed.has(path), path)
  })
})
