import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, outcomeOf, send } from "../service/client.ts"
import { Control } from "../service/Service.ts"
import { type Call, curlOf, identified } from "./calls.ts"
import type { Judge } from "./judge.ts"

/** Longest time in ms that an answer may take; the suites ask for nothing that waits longer. */
const ANSWER_MS = 15_000

/** Requests that are under way at once. */
export const CONCURRENCY = 8

/** A call that was not answered as documented. */
export interface Finding {
  readonly call: Call
  readonly answer: Answer | undefined
  readonly fault: string
}

/** Status and code of an answer of any kind. */
export const briefOf = (answer: Answer): string =>
  answer.status < 400 ? `${answer.status}` : outcomeOf(answer)

/** The answer as it was before it was compressed. */
const decoded = (answer: Answer): Answer => {
  const coding = answer.headers["content-encoding"]
  if (coding === undefined || answer.bytes.length === 0) return answer
  const bytes = coding === "br" ? brotliDecompressSync(answer.bytes) : gunzipSync(answer.bytes)
  return { ...answer, bytes, text: bytes.toString("utf8") }
}

/** Sends a call and says what is wrong with its answer; `judge` may add to what holds for all. */
export const tried = (
  call: Call,
  judge: Judge,
  more: (answer: Answer) => ReadonlyArray<string> = () => []
) => {
  const sent = identified(call)
  return send(sent.target, sent.options).pipe(
    Effect.timeout(ANSWER_MS),
    Effect.map(decoded),
    Effect.map((answer): ReadonlyArray<Finding> =>
      [...judge(sent, answer), ...more(answer)].map((fault) => ({ call: sent, answer, fault }))
    ),
    Effect.catch((error) =>
      Effect.succeed([{ call: sent, answer: undefined, fault: `no answer: ${error.message}` }])
    )
  )
}

/** Findings that are told in full; the others of the same kind only count. */
const SHOWN = 40

/** Characters of a line of the log that are shown: the message, its cause, and the first of where it comes from. */
const MAX_LINE = 2000

const told = ({ answer, call, fault }: Finding): string =>
  [
    `${call.operation.key}, ${call.name}: ${fault}`,
    `  ${curlOf(call)}`,
    `  ${answer === undefined ? "-" : `${answer.status} ${answer.text.slice(0, 300)}`}`
  ].join("\n")

/** Fails the test with the findings, one per operation and fault. */
export const assertNothingFound = (findings: ReadonlyArray<Finding>): void => {
  const kinds = new Map(
    findings.map((finding) => [`${finding.call.operation.key} ${finding.fault}`, finding])
  )
  const report = [...kinds.values()].slice(0, SHOWN).map(told).join("\n")
  assert.strictEqual(findings.length, 0, `${findings.length} findings of ${kinds.size} kinds\n${report}`)
}

/** Fails the test with what the service of the suite has logged as errors. */
export const assertNoErrorLogged = Effect.map(Control, ({ process }) => {
  const errors = process
    .log()
    .split("\n")
    .filter((line) => line.includes('"level":"error"'))
    .map((line) => line.slice(0, MAX_LINE))
  assert.deepEqual(errors.slice(0, SHOWN), [])
})
