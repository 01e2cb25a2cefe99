import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/**
 * Loaded into a service process by `--import`: lets a test set its wall clock and look at what it holds. At SIGUSR2 the
 * file `clock` in the folder FAULTS_FOLDER, milliseconds to add to the time of day, takes effect, and garbage is collected
 * and `vitals.json` written. Time of day is what `Date` tells; timers and `performance.now()` go on as they are, as they
 * do when an administrator or NTP sets the clock of a machine.
 */

const folder = process.env["FAULTS_FOLDER"] ?? ""
let shiftMs = 0

const RealDate = globalThis.Date
const now = () => RealDate.now() + shiftMs
globalThis.Date = new Proxy(RealDate, {
  construct: (target, parameters, newTarget) =>
    Reflect.construct(target, parameters.length === 0 ? [now()] : parameters, newTarget) as Date,
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => (name === "now" ? now : (Reflect.get(target, name, receiver) as unknown))
})

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** What a process holds. */
export interface Vitals {
  /** Which look it is of this process, from 1. */
  readonly look: number
  /** Bytes of JavaScript objects and of buffers after a collection. */
  readonly heap: number
  readonly rss: number
  /** Open sockets, timers and the like, by kind. */
  readonly resources: Readonly<Record<string, number>>
}

let look = 0
process.on("SIGUSR2", () => {
  shiftMs = Number(readFileSync(join(folder, "clock"), "utf8"))
  collect()
  const { external, heapUsed, rss } = process.memoryUsage()
  const resources: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
  look += 1
  const vitals: Vitals = { look, heap: heapUsed + external, rss, resources }
  const file = join(folder, "vitals.json")
  writeFileSync(`${file}.new`, JSON.stringify(vitals))
  renameSync(`${file}.new`, file)
})
