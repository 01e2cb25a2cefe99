import { assert, describe, it } from "@effect/vitest"
import type { Figure } from "../../../scripts/bench/model.ts"
import { json, markdown, type Run, withReport } from "../../../scripts/bench/report.ts"
import { isMet, ratioOf } from "../../../scripts/bench/verdict.ts"

const figure = (more: Partial<Figure>): Figure => ({ what: "events", value: 100, unit: "/s", ...more })

describe("a verdict", () => {
  it("on a share counts the ratio, not the value", () => {
    const target = { kind: "share", atLeast: 0.6 } as const
    assert.isTrue(isMet(figure({ ratio: 0.6, target })))
    assert.isFalse(isMet(figure({ ratio: 0.59, target })))
    assert.isFalse(isMet(figure({ target })))
  })

  it("on a share without rounds takes the ratio of value and limit", () => {
    const target = { kind: "share", atLeast: 0.5 } as const
    assert.isTrue(isMet(figure({ limit: { what: "all", value: 200 }, target })))
    assert.isFalse(isMet(figure({ limit: { what: "all", value: 201 }, target })))
  })

  it("on a bound counts the value, the bound included", () => {
    assert.isTrue(isMet(figure({ target: { kind: "at least", value: 100 } })))
    assert.isFalse(isMet(figure({ target: { kind: "at least", value: 101 } })))
    assert.isTrue(isMet(figure({ target: { kind: "at most", value: 100 } })))
    assert.isFalse(isMet(figure({ target: { kind: "at most", value: 99 } })))
  })

  it("is missed by what is no number", () => {
    for (const kind of ["at least", "at most"] as const)
      assert.isFalse(isMet(figure({ value: Number.NaN, target: { kind, value: 1 } })))
    assert.isFalse(isMet(figure({ ratio: Number.NaN, target: { kind: "share", atLeast: 0 } })))
  })

  it("is none without a target", () => assert.isUndefined(isMet(figure({}))))
})

const run: Run = {
  machine: {
    cpu: "A processor",
    cpus: 2,
    memoryGiB: 8,
    system: "Linux 6",
    node: "24.0.0",
    postgres: "Postgres 18.4",
    database: "embedded; fsync on",
    commit: "0123456789ab",
    settings: "RATE_LIMIT_ENABLED=false"
  },
  startedAt: "2026-01-02T03:04:05.678Z",
  seconds: 61.4,
  options: { seconds: 4, full: false, only: [] },
  results: [
    {
      id: "W1",
      title: "Batches",
      seconds: 30,
      figures: [
        {
          what: "events",
          value: 12_345.6,
          unit: "/s",
          limit: { what: "plain inserts", value: 20_000 },
          ratio: 0.617,
          target: { kind: "share", atLeast: 0.6 },
          detail: "three rounds"
        },
        { what: "delay", value: 61.25, unit: "ms", target: { kind: "at most", value: 50 } }
      ]
    },
    { id: "W2", title: "Singles", seconds: 1, figures: [], failure: "BenchError: wrong\nat line 1" }
  ]
}

describe("a ratio", () => {
  const limit = { what: "all", value: 400 }

  it("is the share of a rate that is reached, and of a duration that is needed", () => {
    assert.strictEqual(ratioOf(figure({ limit })), 0.25)
    assert.strictEqual(ratioOf(figure({ value: 800, unit: "ms", limit })), 0.5)
  })

  it("of rounds is not worked out anew", () =>
    assert.strictEqual(ratioOf(figure({ ratio: 0.3, limit })), 0.3))

  it("is none without a limit", () => assert.isUndefined(ratioOf(figure({}))))
})

describe("the report", () => {
  it("has a row for each figure with limit, ratio, target and verdict", () => {
    const lines = markdown(run).split("\n")
    assert.include(
      lines,
      "| W1 | events (three rounds) | 12,346/s | 20,000/s: plain inserts | 62 % | ≥ 60 % | met |"
    )
    assert.include(lines, "| W1 | delay | 61.3 ms |  |  | ≤ 50.0 ms | **missed** |")
  })

  it("says where and with what it was made", () => {
    const text = markdown(run)
    for (const part of [
      "2026-01-02 03:04 UTC",
      "2 × A processor",
      "Postgres 18.4 (embedded; fsync on)",
      "0123456789ab",
      "RATE_LIMIT_ENABLED=false"
    ])
      assert.include(text, part)
  })

  it("does not pass over a workload that failed", () => {
    assert.include(markdown(run), "- W2 failed: BenchError: wrong at line 1")
  })

  it("is JSON with the same figures and their verdicts", () => {
    const read = JSON.parse(json(run)) as {
      readonly results: ReadonlyArray<{ readonly figures: ReadonlyArray<{ readonly met: boolean | null }> }>
    }
    assert.deepEqual(
      read.results.map(({ figures }) => figures.map(({ met }) => met)),
      [[true, false], []]
    )
  })
})

describe("a document", () => {
  const document = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"

  it("gets the report between its marks, and keeps the rest", () => {
    assert.strictEqual(
      withReport(document, "new"),
      "before\n<!-- bench:begin -->\n\nnew\n\n<!-- bench:end -->\nafter\n"
    )
  })

  it("is the same when the same report is put in twice", () => {
    const once = withReport(document, "new") ?? ""
    assert.strictEqual(withReport(once, "new"), once)
  })

  it("without both marks, or with them the wrong way round, is refused", () => {
    assert.isUndefined(withReport("text", "new"))
    assert.isUndefined(withReport("<!-- bench:end --> <!-- bench:begin -->", "new"))
  })
})
