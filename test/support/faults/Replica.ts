import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Scope } from "effect"
import { eventually } from "../db/eventually.ts"
import { API_KEY, type ServiceProcess, spawnService } from "../service/Service.ts"
import type { Vitals } from "./preload.ts"

const preload = fileURLToPath(new URL("preload.ts", import.meta.url))

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() =>
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    )
  })
})

/** One life of a replica: from a start of its process to its end. */
interface Life {
  readonly scope: Scope.Closeable
  readonly process: ServiceProcess
  /** Whether we have ended it. */
  wanted: boolean
}

/** A replica of the service at one address, through as many processes as it takes. */
export class Replica {
  readonly apiKey = API_KEY
  readonly #lives: Array<Life> = []
  readonly #folder: string
  readonly #environment: Readonly<Record<string, string>>
  readonly url: string
  readonly name: number

  private constructor(
    name: number,
    port: number,
    folder: string,
    environment: Readonly<Record<string, string>>
  ) {
    this.name = name
    this.url = `http://127.0.0.1:${port}`
    this.#folder = folder
    this.#environment = {
      ...environment,
      PORT: String(port),
      FAULTS_FOLDER: folder,
      NODE_OPTIONS: `--import=${preload}`
    }
  }

  /** Not started yet. Its process ends with the scope. */
  static readonly make = (
    name: number,
    folder: string,
    environment: Readonly<Record<string, string>>
  ): Effect.Effect<Replica, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.map(freePort, (port) => {
        mkdirSync(folder, { recursive: true })
        return new Replica(name, port, folder, environment)
      }),
      (replica) => replica.kill
    )

  get #life(): Life {
    const life = this.#lives.at(-1)
    if (life === undefined) throw new Error(`replica ${this.name} was never started`)
    return life
  }

  /** Number of its present life, from 1. */
  get life(): number {
    return this.#lives.length
  }

  /** Everything its processes have written. */
  get logs(): ReadonlyArray<string> {
    return this.#lives.map(({ process }) => process.log())
  }

  /** Starts a process; comes back when it listens, which it does without a database. */
  readonly start: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    writeFileSync(join(this.#folder, "clock"), "0")
    const scope = yield* Scope.make()
    const process = yield* Scope.provide(spawnService(this.#environment), scope)
    const life: Life = { scope, process, wanted: false }
    this.#lives.push(life)
    yield* Effect.forkDetach(
      Effect.map(process.ended, ({ code, signal }) => {
        if (!life.wanted) this.endedBy = `exit ${code ?? signal}: ${process.log().slice(-2000)}`
      })
    )
    // Twice its patience: a machine may be busy with several starts at once.
    yield* Effect.catchCause(process.listening, () => process.listening)
  })

  /** How a process ended that nobody had told to. */
  endedBy: string | undefined

  /** SIGKILL. */
  readonly kill: Effect.Effect<void> = Effect.suspend(() => {
    const life = this.#lives.at(-1)
    if (life === undefined) return Effect.void
    life.wanted = true
    return Effect.andThen(life.process.kill, Scope.close(life.scope, Exit.void))
  })

  /** SIGTERM; comes back when it has ended. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    this.#life.wanted = true
    return Effect.asVoid(this.#life.process.stop)
  })

  readonly signal = (name: NodeJS.Signals): Effect.Effect<void> =>
    Effect.suspend(() => this.#life.process.signal(name))

  /** Sets its wall clock off by so many ms, until it is started anew. */
  readonly setClock = (byMs: number): Effect.Effect<void> =>
    Effect.andThen(
      Effect.sync(() => writeFileSync(join(this.#folder, "clock"), String(byMs))),
      this.signal("SIGUSR2")
    )

  /** What its process holds, after a collection of garbage. */
  readonly vitals: Effect.Effect<Vitals> = Effect.gen({ self: this }, function* () {
    const file = join(this.#folder, "vitals.json")
    const read = () => {
      try {
        return JSON.parse(readFileSync(file, "utf8")) as Vitals
      } catch {
        return undefined
      }
    }
    const before = read()
    yield* this.signal("SIGUSR2")
    const after = yield* eventually(
      Effect.sync(read),
      (found) => found !== undefined && (found.look !== before?.look || found.heap !== before.heap)
    )
    if (after === undefined) return yield* Effect.die(new Error("there are no vitals"))
    return after
  })
}
