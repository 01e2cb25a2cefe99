import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createServer } from "node:net"
import { Effect, type Scope } from "effect"
import { StandIn } from "./StandIn.ts"

/** A Redis server of the test's own, on a port that stays the same. */
export interface RedisServer {
  readonly url: string
  /** As by SIGKILL, and started anew with nothing in it. */
  readonly kill: Effect.Effect<void>
  readonly restart: Effect.Effect<void>
}

/** Found on the path, if at all. */
const PROGRAM = "redis-server"

interface Launched {
  readonly kill: () => Promise<void>
}

const launchStandIn = async (port: number): Promise<Launched> => {
  const server = new StandIn()
  await server.listen(port)
  return server
}

const launchRedis = async (port: number): Promise<Launched> => {
  const child: ChildProcess = spawn(
    PROGRAM,
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  const kill = () => void child.kill("SIGKILL")
  process.once("exit", kill)
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const ready = new Promise<void>((resolve, reject) => {
    let said = ""
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes("Ready to accept connections")) resolve()
    })
    child.once("close", () => reject(new Error(said)))
    child.once("error", reject)
  })
  await ready
  return {
    kill: async () => {
      process.off("exit", kill)
      kill()
      await ended
    }
  }
}

const isInstalled = (() => {
  try {
    execFileSync(PROGRAM, ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

type Kind = readonly [name: string, launch: (port: number) => Promise<Launched>]

/** What the suites of shared counters run against: the stand-in, and `redis-server` where it is installed. */
export const kinds: readonly [Kind, ...ReadonlyArray<Kind>] = [
  ["the stand-in", launchStandIn],
  ...(isInstalled ? [[PROGRAM, launchRedis] as const] : [])
]

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() =>
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    )
  })
})

/** A running server, killed with the scope. */
export const redisServer = (
  launch: (port: number) => Promise<Launched>
): Effect.Effect<RedisServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    let running: Launched | undefined
    const kill = Effect.promise(async () => {
      await running?.kill()
      running = undefined
    })
    const restart = Effect.andThen(
      kill,
      Effect.promise(async () => {
        running = await launch(port)
      })
    )
    yield* Effect.acquireRelease(restart, () => kill)
    return { url: `redis://127.0.0.1:${port}`, kill, restart }
  })
