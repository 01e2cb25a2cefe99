import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { Effect } from "effect"

export interface ProcessIdentity {
  /** Differs between two processes that had the same number one after the other; empty where it cannot be known. */
  readonly started: string
  /** Program and arguments with a blank after each; empty where they cannot be known. */
  readonly command: string
}

const fromProc = (pid: number): ProcessIdentity | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The name in parentheses may hold anything; state is the first field after it, start time the twentieth.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    if (fields[0] === "Z" || fields[0] === "X") return undefined
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
    return { started: `${boot}/${fields[19]}`, command }
  } catch {
    return undefined
  }
}

const fromPs = (pid: number): ProcessIdentity | undefined => {
  try {
    const line = execFileSync("ps", ["-ww", "-o", "lstart=", "-o", "args=", "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      // The start time must read the same to every process, whatever its own settings are.
      env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" }
    }).trim()
    const [, started, args] = /^(\S+ +\S+ +\S+ +\S+ +\S+) +(.*)$/s.exec(line) ?? []
    return started === undefined || args === undefined ? undefined : { started, command: `${args} ` }
  } catch {
    return undefined
  }
}

/** Whether a process with this number exists, whoever owns it. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Who runs under this number now; undefined when nobody does. */
export const identify = (pid: number): ProcessIdentity | undefined => {
  if (process.platform === "linux") return fromProc(pid)
  if (process.platform !== "win32") return fromPs(pid)
  return isAlive(pid) ? { started: "", command: "" } : undefined
}

/** Waits until the process has ended; looks every `everyMs` milliseconds. */
export const awaitEnd = (pid: number, everyMs: number): Effect.Effect<void> =>
  Effect.suspend(() =>
    isAlive(pid) ? Effect.andThen(Effect.sleep(everyMs), awaitEnd(pid, everyMs)) : Effect.void
  )
