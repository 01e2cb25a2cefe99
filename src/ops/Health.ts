import { Context, Effect, Layer } from "effect"
import { briefly } from "./memo.ts"

/** Time a database may take to answer a probe. */
const PING_TIMEOUT = "2 seconds"
const MEMO_MS = 250

/** What the probes tell about the process; filled in as the start goes on. */
export class Health extends Context.Service<
  Health,
  {
    /** AID of the service; null until its identity is known. */
    readonly aid: () => string | null
    readonly setAid: (aid: string) => void
    /** Whether the database answers; false until it is attached. */
    readonly database: Effect.Effect<boolean>
    readonly attachDatabase: (ping: Effect.Effect<unknown, unknown>) => void
    /** Whole seconds since the process started. */
    readonly uptimeSeconds: () => number
  }
>()("cp/ops/Health") {
  static readonly layer = Layer.sync(Health, () => {
    let aid: string | null = null
    let ping: Effect.Effect<unknown, unknown> = Effect.fail("not attached")
    const ask = Effect.suspend(() => ping).pipe(
      Effect.timeout(PING_TIMEOUT),
      Effect.matchCause({ onSuccess: () => true, onFailure: () => false })
    )
    return Health.of({
      aid: () => aid,
      setAid: (known) => void (aid = known),
      attachDatabase: (effect) => void (ping = effect),
      database: briefly(ask, MEMO_MS),
      uptimeSeconds: () => Math.floor(process.uptime())
    })
  })
}
