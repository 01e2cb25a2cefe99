import { Context, Effect, Layer, Schema } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { awaitEnd, isAlive } from "../../../src/embedded/processes.ts"

const Line = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({
      event: Schema.Literal("started"),
      ms: Schema.Int,
      url: Schema.String,
      home: Schema.String,
      pid: Schema.Int,
      secret: Schema.String,
      data: Schema.String,
      fsync: Schema.String
    }),
    Schema.Struct({ event: Schema.Literal("stopping"), lastQuery: Schema.String }),
    Schema.Struct({ event: Schema.Literal("failed"), message: Schema.String })
  ])
)
type Line = typeof Line.Type
export type Started = Extract<Line, { readonly event: "started" }>

/** A process that runs `owner.ts`; ended with the scope. */
export interface Owner {
  readonly pid: number
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** As the terminal does it at Ctrl-C: to every process of its group. */
  readonly interruptGroup: Effect.Effect<void>
  /** The next line it writes; dies when there is none. */
  readonly line: Effect.Effect<Line>
  /** The line that says that the server is there; dies when the start fails. */
  readonly started: Effect.Effect<Started>
  readonly ended: Effect.Effect<void>
}

const script = fileURLToPath(new URL("owner.ts", import.meta.url))

/** Starts an owner of `directory`; `command` is the program, with its arguments before the script. */
export const startOwner = (directory: string, command: ReadonlyArray<string> = [process.execPath]) =>
  Effect.acquireRelease(
    Effect.sync((): Owner => {
      const [program = "", ...args] = command
      const child: ChildProcess & { readonly stdout: NodeJS.ReadableStream } = spawn(
        program,
        [...args, script, directory],
        // A group of its own, so that a signal to the group does not end the test.
        { detached: true, stdio: ["ignore", "pipe", "inherit"] }
      )
      const pid = child.pid ?? 0
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const next = async (): Promise<Line> => {
        const { done, value } = await lines.next()
        if (done === true) throw new Error("the owner ended without a word")
        return value.startsWith("{") ? Schema.decodeSync(Line)(value) : next()
      }
      const line = Effect.orDie(Effect.promise(next))
      return {
        pid,
        kill: (signal) => Effect.sync(() => child.kill(signal)),
        interruptGroup: Effect.sync(() => process.kill(-pid, "SIGINT")),
        line,
        started: Effect.filterOrElse(
          line,
          (said) => said.event === "started",
          (said) => Effect.die(new Error(JSON.stringify(said)))
        ),
        ended: awaitEnd(pid, 10)
      }
    }),
    (owner) => (isAlive(owner.pid) ? Effect.andThen(owner.kill("SIGTERM"), owner.ended) : Effect.void)
  )

/** A folder for the data of one test, removed with the scope, that the server's account can reach also for root. */
export const dataFolder = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "embedded-"))
    chmodSync(folder, 0o711)
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Data that a server has been started on and that nobody uses, to be copied: initdb takes a second. */
export class UsedData extends Context.Service<UsedData, { readonly copy: typeof dataFolder }>()(
  "cp/test/UsedData"
) {
  static readonly layer = Layer.effect(
    UsedData,
    Effect.gen(function* () {
      const original = yield* dataFolder
      const owner = yield* startOwner(original)
      yield* owner.started
      yield* owner.kill("SIGTERM")
      yield* owner.ended
      const copy = Effect.tap(dataFolder, (folder) =>
        Effect.sync(() => {
          execFileSync("cp", ["-a", `${original}/.`, folder])
          // The port of the original would be taken by another copy.
          rmSync(join(folder, "cluster", "port"))
        })
      )
      return UsedData.of({ copy })
    })
  )
}
