import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { identify } from "./processes.ts"

/** What a server writes about itself into its data directory. */
export interface Postmaster {
  readonly pid: number
  /** Unix time in seconds, as text. */
  readonly startedAt: string
  readonly port: number
  /** Folder of its unix socket; empty when it has none. */
  readonly socketFolder: string
  readonly status: "starting" | "ready" | "standby" | "stopping" | ""
}

const STATUSES = ["starting", "ready", "standby", "stopping"] as const

/** The file `postmaster.pid`, which a server that was killed leaves behind; undefined while it is not complete. */
export const readPostmaster = (data: string): Postmaster | undefined => {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")
    const status = STATUSES.find((each) => each === lines[7]?.trim())
    const pid = Number(lines[0])
    return Number.isInteger(pid) && pid > 0
      ? {
          pid,
          startedAt: lines[2] ?? "",
          port: Number(lines[3]),
          socketFolder: lines[4] ?? "",
          status: status ?? ""
        }
      : undefined
  } catch {
    return undefined
  }
}

/** Whether that process is the server of this data directory, and not one that has its number by chance. */
export const isServerOf = (data: string, pid: number): boolean => {
  const found = identify(pid)
  if (found === undefined) return false
  return found.command === "" || found.command.includes(`postgres -D ${data} `)
}

/** How to stop a server: `fast` ends sessions and writes a checkpoint, `immediate` leaves the work to the next start. */
export const stopSignal = (bin: string, pid: number, how: "fast" | "immediate") => {
  if (process.platform === "win32")
    execFileSync(join(bin, "pg_ctl"), ["kill", how === "fast" ? "INT" : "QUIT", String(pid)], {
      stdio: "ignore"
    })
  else process.kill(pid, how === "fast" ? "SIGINT" : "SIGQUIT")
}
