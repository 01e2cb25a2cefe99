import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Option, References, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { readFileSync, writeFileSync } from "node:fs"
import { describeMachine } from "./bench/machine.ts"
import { BenchError, type Result, type Workload } from "./bench/model.ts"
import { startServer, temporaryFolder } from "./bench/postgres.ts"
import { type Progress, progressOn } from "./bench/progress.ts"
import { json, markdown, type Run, withReport } from "./bench/report.ts"
import { Rig } from "./bench/Rig.ts"
import { SETTINGS } from "./bench/service.ts"
import { isMet } from "./bench/verdict.ts"
import { workloads } from "./bench/workloads.ts"

/**
 * Measures the service and, in the same run on the same machine, what limits it. Starts all it needs: a Postgres server
 * (or uses the one of DATABASE_URL, whose user must be able to make databases), the service in production mode, and the
 * servers it is compared with; ends and removes all of it. What is measured how: BENCHMARKS.md.
 */

const ids = workloads.map(({ id }) => id)

/** `W1,W3` as the ids of workloads. */
const Selection = Schema.String.check(
  Schema.makeFilter((text: string) => text.split(",").every((id) => ids.includes(id)), {
    expected: `ids out of ${ids.join(", ")}, separated by commas`
  })
)

const flags = {
  only: Flag.String("only").pipe(
    Flag.withDescription("Workloads to run, such as W1,W3; all unless given"),
    Flag.withSchema(Selection),
    Flag.optional
  ),
  seconds: Flag.Int("seconds").pipe(
    Flag.withDescription("Length of one measurement in seconds"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 600 }))),
    Flag.withDefault(3)
  ),
  full: Flag.Boolean("full").pipe(
    Flag.withDescription("Also the runs over 5 million rows"),
    Flag.withDefault(false)
  ),
  json: Flag.String("json").pipe(Flag.withDescription("File that gets the figures as JSON"), Flag.optional),
  markdown: Flag.String("markdown").pipe(
    Flag.withDescription("Markdown file that gets the table between its marks"),
    Flag.optional
  )
}

/** A document that has a place for the report. Looked at first: a run is too long to be lost for a typing error. */
const open = (path: string) =>
  Effect.try({
    try: () => {
      const text = readFileSync(path, "utf8")
      if (withReport(text, "") === undefined) throw new BenchError("it has no marks for the report")
      return { path, text }
    },
    catch: (error) =>
      new BenchError(`cannot use ${path}: ${error instanceof Error ? error.message : "unknown"}`)
  })

const measure = Effect.fnUntraced(function* (workload: Workload, progress: Progress) {
  const { id, title } = workload
  progress.begin(`${id} ${title}`)
  const begun = performance.now()
  const outcome = yield* Effect.exit(Effect.scoped(workload.run))
  const seconds = (performance.now() - begun) / 1000
  if (outcome._tag === "Success") {
    const result: Result = { id, title, seconds, figures: outcome.value }
    return result
  }
  if (Cause.hasInterruptsOnly(outcome.cause)) return yield* Effect.interrupt
  const failed: Result = { id, title, seconds, figures: [], failure: Cause.pretty(outcome.cause) }
  return failed
})

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(function* (options) {
    const only = Option.isSome(options.only) ? options.only.value.split(",") : []
    const chosen = workloads.filter(({ id }) => only.length === 0 || only.includes(id))
    const document = Option.isSome(options.markdown) ? yield* open(options.markdown.value) : undefined

    const [startedAt, begun] = [new Date().toISOString(), performance.now()]
    const progress = progressOn(process.stderr, chosen.length)
    const folder = yield* temporaryFolder
    progress.note("starting Postgres")
    const server = yield* startServer(folder)
    const rig = Rig.of({
      seconds: options.seconds,
      full: options.full,
      serverUrl: server.url,
      folder,
      note: progress.note
    })
    const results = yield* Effect.forEach(chosen, (workload) => measure(workload, progress)).pipe(
      Effect.provideService(Rig, rig),
      Effect.ensuring(Effect.sync(progress.clear))
    )
    const run: Run = {
      machine: describeMachine(server, SETTINGS),
      startedAt,
      seconds: (performance.now() - begun) / 1000,
      options: { seconds: options.seconds, full: options.full, only },
      results
    }
    const report = markdown(run)
    console.log(report)
    if (Option.isSome(options.json)) writeFileSync(options.json.value, json(run))
    if (document !== undefined)
      writeFileSync(document.path, withReport(document.text, report) ?? document.text)
    const figures = results.flatMap((result) => result.figures)
    console.log(
      `\n${figures.filter((figure) => isMet(figure) === true).length} targets met, ${
        figures.filter((figure) => isMet(figure) === false).length
      } missed`
    )
    if (results.some(({ failure }) => failure !== undefined)) process.exitCode = 1
  }, Effect.scoped)
).pipe(Command.withDescription("Measures the service, and beside each figure what limits it"))

NodeRuntime.runMain(
  Command.run(bench, { version: "1" }).pipe(
    Effect.provide(NodeServices.layer),
    Effect.provideService(References.MinimumLogLevel, "Warn")
  )
)
