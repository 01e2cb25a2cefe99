import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { type Block, placeOf } from "./blocks.ts"
import { root } from "./documents.ts"

/** What a block of commands printed. */
export interface Ran {
  readonly block: Block
  readonly printed: string
}

export interface Shell {
  readonly environment: Readonly<Record<string, string>>
  /** Addresses that documents use, and what stands there in the tests. */
  readonly addresses: Readonly<Record<string, string>>
  /** Files that the commands run, by name. */
  readonly files: Readonly<Record<string, string>>
}

/** What of the project commands may use; they leave everything else, and leave nothing behind. */
const LINKED = ["src", "scripts", "migrations", "node_modules", "package.json", "deno.json", "docs"]

/** Longest time for the commands of one document. */
const PATIENCE = "50 seconds"

/** The installation is the one that the tests run on. */
const CHANGES_INSTALLATION = /\bnpm (?:install|i|ci|update)\b/

/** An answer that is no success fails the command; `show-error` says which. */
const CURLRC = "fail-with-body\nshow-error\nmax-time = 30\n"

const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "cp-docs-"))
    for (const name of LINKED) symlinkSync(join(root, name), join(path, name))
    writeFileSync(join(path, ".curlrc"), CURLRC)
    mkdirSync(join(path, ".printed"))
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const rewrite = (text: string, addresses: Shell["addresses"]): string =>
  Object.entries(addresses).reduce((written, [shown, actual]) => written.replaceAll(shown, actual), text)

/** One session, so that variables last; what each block prints goes to a file of its own. */
const scriptOf = (blocks: ReadonlyArray<Block>, addresses: Shell["addresses"]): string =>
  [
    "set -euo pipefail",
    ...blocks.map(
      ({ text }, index) =>
        `{\n${rewrite(text, addresses)}\n} >.printed/${index} 2>.printed/${index}.errors </dev/null\n: >.printed/${index}.done`
    )
  ].join("\n")

/** The session leads a group of its own, which ends with it: commands may leave others in the background. */
const execute = (script: string, cwd: string, environment: Shell["environment"]) =>
  Effect.callback<void>((resume) => {
    const child: ChildProcess = spawn("bash", ["-c", script], {
      cwd,
      detached: true,
      stdio: "ignore",
      env: {
        PATH: [dirname(process.execPath), join(root, "node_modules/.bin"), process.env["PATH"]].join(":"),
        HOME: cwd,
        CURL_HOME: cwd,
        NO_COLOR: "1",
        ...environment
      }
    })
    const end = Effect.sync(() => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
      } catch {
        // nobody of the group is left
      }
    })
    child.once("error", (error) => resume(Effect.die(error)))
    child.once("exit", () => resume(end))
    return end
  })

const readOr = (path: string, otherwise: string) =>
  existsSync(path) ? readFileSync(path, "utf8") : otherwise

/** Runs the blocks of a document in order in one session of bash; dies with what the first that failed had to say. */
export const runBlocks = Effect.fnUntraced(function* (
  blocks: ReadonlyArray<Block>,
  { addresses, environment, files }: Shell
) {
  const forbidden = blocks.find(({ text }) => CHANGES_INSTALLATION.test(text))
  if (forbidden !== undefined) return yield* Effect.die(new Error(`${placeOf(forbidden)} must be manual`))
  const cwd = yield* folder
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), rewrite(text, addresses))
  yield* Effect.timeoutOption(execute(scriptOf(blocks, addresses), cwd, environment), PATIENCE)
  const printed = (index: number, suffix = "") => readOr(join(cwd, ".printed", `${index}${suffix}`), "")
  const failed = blocks.findIndex((_, index) => !existsSync(join(cwd, ".printed", `${index}.done`)))
  const block = blocks[failed]
  return block === undefined
    ? blocks.map((each, index): Ran => ({ block: each, printed: printed(index) }))
    : yield* Effect.die(
        new Error(
          `${placeOf(block)} failed, or was not done in ${PATIENCE}:\n${block.text}\n${printed(failed)}\n${printed(failed, ".errors")}`
        )
      )
}, Effect.scoped)
