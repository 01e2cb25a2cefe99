import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Effect, Exit, References } from "effect"
import { startPostgres } from "../../support/faults/Postgres.ts"
import { run } from "./run.ts"
import { describe, planOf } from "./schedule.ts"

/**
 * `npm run test:faults -- --seed N --runs M` runs the seeds N … N+M-1, each until it is judged; exit code 1 when a property
 * was violated. Without either it runs the suites beside this folder, and whatever else is given is for them.
 */

const USAGE = "usage: npm run test:faults -- --seed N --runs M [--verbose]"

const { values } = parseArgs({
  strict: false,
  options: {
    seed: { type: "string" },
    runs: { type: "string" },
    /** Also what the clients were answered. */
    verbose: { type: "boolean", default: false }
  }
})
if (values["seed"] === undefined && values["runs"] === undefined) {
  const vitest = [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--config",
    "test/vitest.config.ts",
    "--project",
    "faults"
  ]
  const { status } = spawnSync(process.execPath, [...vitest, ...process.argv.slice(2)], { stdio: "inherit" })
  process.exit(status ?? 1)
}
const seed = Number(values["seed"] ?? 1)
const runs = Number(values["runs"] ?? 1)
const isVerbose = values["verbose"] === true
if (!Number.isInteger(seed) || !Number.isInteger(runs) || runs < 1) {
  console.error(USAGE)
  process.exit(2)
}

const one = (n: number, postgres: Effect.Success<typeof startPostgres>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const tell = (line: string) => {
      lines.push(line)
      if (isVerbose) console.log(line)
    }
    const plan = planOf(n)
    console.log(`seed ${n}: ${plan.replicas} replicas, ${plan.faults.length} faults`)
    for (const planned of plan.faults) console.log(`  ${describe(planned)}`)
    const ended = yield* Effect.exit(run(n, postgres, tell))
    if (ended._tag === "Failure") {
      for (const line of lines) console.log(`  ${line}`)
      console.log(`seed ${n} FAILED: the run broke off\n${Cause.pretty(ended.cause)}`)
      return false
    }
    const { figures, ms, violations } = ended.value
    for (const line of isVerbose ? figures : figures.slice(0, 1)) console.log(`  ${line}`)
    if (violations.size === 0) {
      console.log(`seed ${n} ok, ${(ms / 1000).toFixed(1)} s`)
      return true
    }
    if (!isVerbose) for (const line of lines) console.log(`  ${line}`)
    for (const [property, { count, evidence }] of violations) {
      console.log(`  VIOLATED: ${property}`)
      for (const each of evidence) console.log(`    ${each}`)
      if (count > evidence.length) console.log(`    and ${count - evidence.length} more`)
    }
    console.log(`seed ${n} FAILED, ${(ms / 1000).toFixed(1)} s; again: npm run test:faults -- --seed ${n}`)
    return false
  })

const program = Effect.gen(function* () {
  const postgres = yield* startPostgres
  if (!postgres.hasSmallDisk)
    console.log("no file system can be mounted here: planned faults of a full disk do nothing")
  const failed: Array<number> = []
  for (let n = seed; n < seed + runs; n += 1) if (!(yield* one(n, postgres))) failed.push(n)
  console.log(
    failed.length === 0
      ? `all ${runs} runs ok`
      : `${failed.length} of ${runs} runs failed: ${failed.join(" ")}`
  )
  return failed.length === 0
}).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))

// Also when it is told to stop: the server and its disk must not stay behind.
NodeRuntime.runMain(program, {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) && exit.value ? 0 : 1)
})
