import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { parseAst } from "vitest/node"

const root = new URL("../../", import.meta.url)

interface Pattern {
  readonly place: string
  readonly pattern: string
  readonly flags: string
}

const isNode = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

/** Every regular expression in a syntax tree: literals, and what is given to `RegExp`. */
const patternsIn = (place: string, node: unknown, found: Array<Pattern>): void => {
  if (!isNode(node)) return
  const { regex } = node
  if (isNode(regex)) found.push({ place, pattern: String(regex["pattern"]), flags: String(regex["flags"]) })
  if (node["type"] === "NewExpression" || node["type"] === "CallExpression") {
    const { callee } = node
    if (isNode(callee) && callee["name"] === "RegExp") found.push({ place, pattern: "RegExp", flags: "made" })
  }
  for (const member of Object.values(node)) patternsIn(place, member, found)
}

const sources = ["src", "scripts"].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`)
)

const patterns = sources.flatMap((place) => {
  const found: Array<Pattern> = []
  patternsIn(place, parseAst(readFileSync(new URL(place, root), "utf8"), { lang: "ts" }), found)
  return found
})

/** Texts that the expression matches, as far as they can be made; else the characters it is written with. */
const samplesOf = (expression: RegExp): ReadonlyArray<string> => {
  try {
    return fc.sample(fc.stringMatching(expression, { maxLength: 60 }), { numRuns: 12, seed: 1 })
  } catch {
    return [expression.source]
  }
}

/** What may be repeated: short pieces of the samples, and each character that the expression names. */
const piecesOf = (expression: RegExp, samples: ReadonlyArray<string>): ReadonlySet<string> => {
  const pieces = new Set(["a", "0", " ", "=", "x=", "\\", '"', '\\"', "\u00e9"])
  for (const character of expression.source) pieces.add(character)
  for (const sample of samples.slice(0, 4))
    for (let at = 0; at < Math.min(sample.length, 12); at += 1)
      for (const length of [1, 2, 3]) pieces.add(sample.slice(at, at + length))
  pieces.delete("")
  return pieces
}

/** Ways to fail at the end, after everything before has matched. */
const ENDS = ["", "\u0000"]

/** From lengths that tell exponential growth to the largest body. */
const LENGTHS = [24, 400, 30_000]

/** A linear scan of 30,000 characters takes well below a millisecond; one that is quadratic takes a second. */
const LIMIT_MS = 100
/** No pause of the machine is as long. */
const PAUSE_MS = 500

const timeOf = (expression: RegExp, text: string): number => {
  let best = Number.POSITIVE_INFINITY
  // a pause of the machine is no fault of the expression
  for (let tries = 0; tries < 3 && best > LIMIT_MS; tries += 1) {
    const startedAt = performance.now()
    text.replace(expression, "")
    best = Math.min(best, performance.now() - startedAt)
    if (best > PAUSE_MS) break
  }
  return best
}

/** A text that the expression takes too long for; undefined when none was found. */
const slowest = (expression: RegExp): string | undefined => {
  const samples = samplesOf(expression)
  const beginnings = ["", samples[0] ?? ""]
  for (const length of LENGTHS) {
    for (const piece of piecesOf(expression, samples)) {
      const pumped = piece.repeat(Math.ceil(length / piece.length))
      for (const beginning of beginnings) {
        for (const end of ENDS) {
          const ms = timeOf(expression, beginning + pumped + end)
          if (ms > LIMIT_MS)
            return `${JSON.stringify(beginning)} ${JSON.stringify(piece)} × ${length} ${JSON.stringify(end)}`
        }
      }
    }
  }
  return undefined
}

/** Expressions that see nothing but what the operator or the service itself has written, a line long. */
const ownInput = new Set([
  String.raw`/\/+$/`, // addresses in the configuration
  String.raw`/^(?:SchemaError\()?([\s\S]*?)\s*at \["([^"]+)"\]/`, // messages about the configuration
  String.raw`/\.?0+$/` // numbers in metrics
])

describe("regular expressions", () => {
  it("are all found, and none is made of text at run time", () => {
    assert.isAbove(patterns.length, 80)
    assert.deepEqual(
      patterns.filter(({ flags }) => flags === "made"),
      []
    )
    // one that is easy to miss: in a default, behind a division, in a template
    for (const known of [
      "src/aitp/base64url.ts",
      "src/events/tokens.ts",
      "src/http/ClientIp.ts",
      "src/client/log-note.ts"
    ])
      assert.isTrue(
        patterns.some(({ place }) => place === known),
        known
      )
  })

  it("that are bad would be noticed", () => {
    for (const bad of [/^(a+)+$/, /(?:a|a)*b/, /=+$/, /\s+$/, /^(?:\w+\.?)+@/, /"(?:[^"\\]|\\.)*"/])
      assert.isDefined(slowest(bad), bad.source)
    for (const good of [/^a+$/, /={1,2}$/, /^[a-z]{1,20}$/]) assert.isUndefined(slowest(good), good.source)
  }, 120_000)

  const seen = new Set<string>()
  for (const { flags, pattern, place } of patterns) {
    const written = `/${pattern}/${flags}`
    if (flags === "made" || seen.has(written) || ownInput.has(written)) continue
    seen.add(written)
    it(`${written} of ${place} takes linear time`, () => {
      assert.isUndefined(slowest(new RegExp(pattern, flags)), written)
    })
  }
})
