import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { API_KEY } from "../service/Service.ts"

const root = fileURLToPath(new URL("../../..", import.meta.url))

export interface Run {
  /** Exit status. */
  readonly code: number
  readonly said: string
}

/** Runs the command `verify-log`. */
export const verifyLog = (...args: ReadonlyArray<string>): Effect.Effect<Run> =>
  Effect.callback((resume) => {
    const { PATH = "" } = process.env
    execFile(
      process.execPath,
      ["scripts/verify-log.ts", ...args],
      { cwd: root, env: { PATH, CP_API_KEY: API_KEY } },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1
        resume(Effect.succeed({ code, said: stdout + stderr }))
      }
    )
  })
