import { assert, describe, it } from "@effect/vitest"
import { format } from "../../../src/ops/Exposition.ts"

const family = (
  samples: ReadonlyArray<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>
) =>
  format([{ name: "events", help: "Events.", type: "counter", samples }], [])
    .split("\n")
    .filter((line) => !line.startsWith("#") && line !== "")

describe("exposition", () => {
  it("writes label values that become equal by escaping as one series, a sum", () => {
    assert.deepEqual(
      family([
        { labels: { type: "a\nb" }, value: 1 },
        { labels: { type: "a\u2028b" }, value: 2 },
        { labels: { type: "a}b" }, value: 4 },
        { labels: { type: "a)b" }, value: 8 },
        { labels: { type: "other" }, value: 16 }
      ]),
      ['events{type="a b"} 3', 'events{type="a)b"} 12', 'events{type="other"} 16']
    )
  })

  it("leaves out what is no number and writes large and small ones without exponent", () => {
    assert.deepEqual(
      family([
        { labels: { n: "nan" }, value: Number.NaN },
        { labels: { n: "large" }, value: 1e21 },
        { labels: { n: "small" }, value: 1e-7 }
      ]),
      ['events{n="large"} 1000000000000000000000', 'events{n="small"} 0.0000001']
    )
  })
})
