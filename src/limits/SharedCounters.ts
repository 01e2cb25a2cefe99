import { Cause, Deferred, Effect, Metric, Redacted, Schema, type Scope } from "effect"

/** What Redis holds for a key after counting a request. */
export interface Counted {
  readonly count: number
  /** Until the window ends, ms. */
  readonly leftMs: number
}

export interface SharedCounters {
  /** Whether the counters can be relied on; while not, each process counts for itself. */
  readonly isUp: () => boolean
  /** Counts one request of a key; undefined when no answer came in time. */
  readonly count: (key: string, windowMs: number) => Effect.Effect<Counted | undefined>
}

interface CounterTimes {
  /** Longest wait of a request for the counters, ms. */
  readonly answerMs: number
  /** Longest wait for a new connection and the server's greeting, ms. */
  readonly greetingMs: number
  /** Pause before the next try to connect, ms. */
  readonly reconnectMs: number
}

const TIMES: CounterTimes = { answerMs: 100, greetingMs: 2000, reconnectMs: 1000 }

/** Servers and balancers close connections that nobody uses. */
const PING_MS = 60_000

const PREFIX = "aitp-cp:limit:"

/** Counted in before a connection is used: a server that may only be read, or is full, is of no use. */
const PROBE = `${PREFIX}probe`

/** PTTL of a key that never expires. */
const NO_EXPIRY = -1

export const storeErrors = Metric.counter("rate_limit_store_errors_total", {
  description: "Failed operations on the shared rate limit counters, tries to connect included.",
  incremental: true
})

class StoreUnreachable extends Schema.TaggedError<StoreUnreachable>()("StoreUnreachable", {
  message: Schema.String
}) {}

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  // several addresses that all refuse make an error with a code and no message
  return cause.message || ("code" in cause ? String(cause.code) : cause.name)
}

/**
 * What `ask` answers, or a failure when that takes longer. The wait is cut into slices: in a process that had no time to
 * listen, a single timer would be late, and fire before an answer is read that has long been there.
 */
const answerWithin = <A>(ms: number, ask: () => Promise<A>) =>
  Effect.callback<A, StoreUnreachable>((resume) => {
    let slices = 4
    const pass = () => {
      slices -= 1
      if (slices > 0) timer = setTimeout(pass, ms / 4)
      else resume(new StoreUnreachable({ message: `no answer within ${ms} ms` }))
    }
    let timer = setTimeout(pass, ms / 4)
    const settle = (answer: Effect.Effect<A, StoreUnreachable>) => {
      clearTimeout(timer)
      resume(answer)
    }
    ask().then(
      (answer) => settle(Effect.succeed(answer)),
      (cause) => settle(new StoreUnreachable({ message: reasonOf(cause) }))
    )
    return Effect.sync(() => clearTimeout(timer))
  })

type Redis = typeof import("@redis/client")
type Client = ReturnType<typeof open>

/** A client that connects once and never queues: what is gone is replaced, and nobody waits for it to come back. */
const open = ({ createClient }: Redis, url: Redacted.Redacted, connectTimeout: number) =>
  createClient({
    url: Redacted.value(url),
    RESP: 2,
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 }, // none: here a request has one for all its commands
    pingInterval: PING_MS,
    socket: { connectTimeout, reconnectStrategy: false }
  })

/**
 * Three commands in one round trip. Between the first two a window may end, and the second then begins one that would
 * last for ever: whoever counts next in it sees that, and gives it an end.
 */
const countIn = async (client: Client, key: string, windowMs: number): Promise<Counted> => {
  const [, count, leftMs] = await Promise.all([
    client.set(key, "0", { expiration: { type: "PX", value: windowMs }, condition: "NX" }),
    client.incr(key),
    client.pTTL(key)
  ])
  if (leftMs !== NO_EXPIRY) return { count, leftMs: Math.max(0, leftMs) }
  await client.pExpire(key, windowMs)
  return { count, leftMs: windowMs }
}

/**
 * Counters in Redis, which all replicas share. The connection is the circuit: the first command that fails or takes too
 * long ends it, from then on each process counts for itself, and a new one is tried once a second. Requests never wait
 * for that, so an outage costs those that are under way when it begins at most 100 ms and the others nothing.
 *
 * Effect's own `RateLimiter` is not used: its fixed window grows with each request, the contract's has one length. Nor
 * is the platform's `NodeRedis`: to close, it waits for the replies of a server that may never answer again.
 */
export const make = Effect.fnUntraced(function* (
  url: Redacted.Redacted,
  times: CounterTimes = TIMES
): Effect.fn.Return<SharedCounters, never, Scope.Scope> {
  const context = yield* Effect.context<never>()

  /** The connection in use. */
  let link: { readonly client: Client; readonly lose: (reason: string) => void } | undefined
  /** As last told in the log. */
  let isShared: boolean | undefined

  const within = <A>(ms: number, ask: () => Promise<A>): Effect.Effect<A, StoreUnreachable> =>
    Effect.tapError(answerWithin(ms, ask), () => Effect.sync(() => storeErrors.updateUnsafe(1, context)))

  const connection = Effect.gen(function* () {
    const redis = yield* Effect.promise(() => import("@redis/client")) // only where it is used
    const lost = yield* Deferred.make<never, StoreUnreachable>()
    const lose = (reason: string) => void Deferred.doneUnsafe(lost, new StoreUnreachable({ message: reason }))
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => open(redis, url, times.greetingMs / 2)),
      (opened) =>
        Effect.sync(() => {
          link = undefined
          opened.destroy()
        })
    )
    client.on("error", (error) => lose(reasonOf(error)))
    yield* within(times.greetingMs, () => client.connect())
    yield* within(times.answerMs, () => countIn(client, PROBE, 1))
    link = { client, lose }
    if (isShared === false) yield* Effect.logInfo("rate limits are shared by all replicas again")
    isShared = true
    return yield* Deferred.await(lost)
  })

  const attempt = connection.pipe(
    Effect.scoped,
    Effect.catchCause((cause) => {
      const first = isShared !== false
      isShared = false
      const reason = reasonOf(Cause.squash(cause))
      return first ? Effect.logWarning(`each replica counts rate limits for itself: ${reason}`) : Effect.void
    }),
    Effect.andThen(Effect.sleep(times.reconnectMs))
  )
  yield* Effect.forkScoped(Effect.forever(attempt))

  return {
    isUp: () => link !== undefined,
    count: (key, windowMs) =>
      Effect.suspend(() => {
        const using = link
        if (using === undefined) return Effect.undefined
        return Effect.catch(
          within(times.answerMs, () => countIn(using.client, PREFIX + key, windowMs)),
          (error) => {
            using.lose(error.message)
            return Effect.undefined
          }
        )
      })
  }
})
