import { execFileSync } from "node:child_process"
import { cpus, release, totalmem, type as systemName } from "node:os"

/** Where a run was made, so that its figures can be judged. */
export interface Machine {
  readonly cpu: string
  readonly cpus: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  /** Version of the server. */
  readonly postgres: string
  /** Which server it was: the embedded one or a given one, and whether its commits are durable. */
  readonly database: string
  readonly commit: string
  /** Variables of the service that are not the defaults of production. */
  readonly settings: string
}

const git = (...parameters: ReadonlyArray<string>) =>
  execFileSync("git", parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()

const commit = (): string => {
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no", "src", "migrations") !== ""
    return git("rev-parse", "--short=12", "HEAD") + (changed ? " with changes" : "")
  } catch {
    return "unknown" // no checkout
  }
}

export const describeMachine = (
  server: Pick<Machine, "postgres" | "database">,
  settings: string
): Machine => ({
  ...server,
  settings,
  cpu: cpus()[0]?.model ?? "unknown",
  cpus: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `${systemName()} ${release()}`,
  node: process.versions.node,
  commit: commit()
})
