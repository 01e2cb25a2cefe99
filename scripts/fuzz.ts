import { parseArgs } from "node:util"
import { fuzz } from "../test/fuzz/fuzz.ts"
import { targets } from "../test/fuzz/targets.ts"

/**
 * Fuzzes the parsers: hostile variants of sound inputs, and promises that must hold for each of them. The same seed gives
 * the same inputs, as many as the time allows.
 */

const USAGE = `node scripts/fuzz.ts [--seconds 60] [--seed <random>] [--target <name>]

--seconds  for all targets together, shared equally
--seed     whole number that the inputs are made from
--target   one of: ${targets.map(({ name }) => name).join(", ")}; all unless given

Exit status: 0 nothing was found, 1 a promise was broken (the input is printed), 2 wrong use.`

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    target: { type: "string" },
    help: { type: "boolean", default: false }
  }
})

const say = (line: string) => process.stdout.write(`${line}\n`)

const chosen = targets.filter(({ name }) => values.target === undefined || values.target === name)
const seconds = Number(values.seconds)
const seed = Number(values.seed)

const main = async (): Promise<number> => {
  if (values.help || chosen.length === 0 || !(seconds > 0) || !Number.isSafeInteger(seed)) {
    say(USAGE)
    return values.help ? 0 : 2
  }
  say(`seed ${seed}, ${seconds} s for ${chosen.length} targets`)
  const share = (seconds * 1000) / chosen.length
  let total = 0
  let totalMs = 0
  let found = 0
  for (const target of chosen) {
    const startedAt = performance.now()
    const { executions, finding, outcomes } = await fuzz(
      target,
      seed,
      () => performance.now() - startedAt > share
    )
    const ms = performance.now() - startedAt
    total += executions
    totalMs += ms
    const rate = Math.round((executions / ms) * 1000)
    say(`${target.name.padEnd(20)} ${executions} executions, ${rate}/s, ${outcomes} outcomes`)
    if (finding === undefined) continue
    found += 1
    say(
      `FOUND by ${finding.target} with seed ${finding.seed}: ${JSON.stringify(finding.input)}\n${finding.reason}`
    )
  }
  say(`total ${total} executions, ${Math.round((total / totalMs) * 1000)}/s, ${found} findings`)
  return found === 0 ? 0 : 1
}

process.exitCode = await main()
