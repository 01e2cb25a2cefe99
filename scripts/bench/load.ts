import autocannon from "autocannon"
import { Effect } from "effect"
import { BenchError } from "./model.ts"
import { Timings } from "./statistics.ts"

/** An answer as it came. */
export interface Answer {
  readonly status: number
  readonly body: string
  /** Names as they were sent. */
  readonly headers: Readonly<Record<string, string>>
}

/** What the requests of one turn of one connection know of each other. */
export type Turn = Record<string, string>

/** One request; a connection sends one after the other and then begins again. */
export interface Shot {
  readonly method?: "GET" | "POST"
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Made for each request. */
  readonly body?: (turn: Turn) => string
  /** Headers made for each request, over the others. */
  readonly own?: (turn: Turn) => Readonly<Record<string, string>>
  /** What is wrong with the answer; undefined when nothing is. */
  readonly check: (answer: Answer, turn: Turn) => string | undefined
}

export interface Load {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  /** Each connection begins at another one. */
  readonly shots: ReadonlyArray<Shot>
}

export interface Loaded {
  /** Answers. */
  readonly count: number
  readonly perSecond: number
  /** From the request to the end of its answer. */
  readonly timings: Timings
}

const POLL_MS = 50

const requestOf = (shot: Shot, refuse: (fault: string) => void): autocannon.Request => {
  const { body, check, headers, own, path } = shot
  const method = shot.method ?? "GET"
  const request: autocannon.Request = {
    method,
    path,
    headers: { ...headers },
    onResponse: (status, text, turn, given) => {
      const answer = { status, body: text, headers: given as Answer["headers"] } // none of ours comes twice
      const fault = check(answer, turn as Turn) // the context is ours
      if (fault !== undefined) refuse(`${method} ${path}: ${fault}: ${status} ${text.slice(0, 300)}`)
    }
  }
  if (body === undefined && own === undefined) return request
  return {
    ...request,
    setupRequest: (known, turn) => ({
      ...known,
      headers: { ...headers, ...own?.(turn as Turn) },
      ...(body === undefined ? {} : { body: body(turn as Turn) })
    })
  }
}

const copyOf = (request: autocannon.Request): autocannon.Request => ({ ...request })

/** Sends requests over some connections, on each the next one when the last was answered. Fails at the first wrong answer. */
export const fire = ({ connections, seconds, shots, url }: Load): Effect.Effect<Loaded, BenchError> =>
  Effect.callback((resume) => {
    const timings = new Timings()
    let count = 0
    let [first, last] = [0, 0]
    let isOver = false
    const fail = (message: string) => {
      if (isOver) return
      isOver = true
      resume(Effect.fail(new BenchError(message)))
      setImmediate(() => instance.stop())
    }
    const requests = shots.map((shot) => requestOf(shot, fail))
    const isSequence = shots.some(({ own }) => own !== undefined)
    let clients = 0
    const instance = autocannon(
      {
        url,
        connections,
        duration: seconds,
        sampleInt: POLL_MS,
        requests: isSequence ? requests : requests.slice(0, 1),
        setupClient: (client) => {
          const begin = Math.floor((clients * requests.length) / connections)
          clients += 1
          // Connections must not share them: the driver keeps what it is about to send in them.
          if (!isSequence && requests.length > 1)
            client.setRequests(Array.from([...requests.slice(begin), ...requests.slice(0, begin)], copyOf))
        }
      },
      () => {
        if (isOver) return
        isOver = true
        const perSecond = (count * 1000) / (last - first)
        resume(
          count === 0
            ? Effect.fail(new BenchError(`${url} answered nothing`))
            : Effect.succeed({ count, perSecond, timings })
        )
      }
    )
    instance.on("start", () => {
      first = performance.now()
    })
    instance.on("response", (_client, _status, _bytes, ms) => {
      count += 1
      last = performance.now()
      timings.record(ms)
    })
    instance.on("reqError", (error: unknown) => fail(`${url}: ${String(error)}`))
    return Effect.sync(() => {
      isOver = true
      instance.stop()
    })
  })

/** The same for a short time, unmeasured: compiled code, open connections, full caches. */
export const warm = (load: Load): Effect.Effect<Loaded, BenchError> =>
  fire({ ...load, seconds: Math.min(1, load.seconds) })
