import { Effect, Layer, Schedule } from "effect"
import { onBackground } from "../db/Db.ts"
import { Leases } from "../jobs/Leases.ts"
import { succeeded } from "../jobs/loop.ts"
import { RevocationEntries } from "./RevocationEntries.ts"

/** A day passes between the end of a token and the moment its entry may go: minutes do not matter. */
const EVERY = "10 minutes"

/** Decides on one replica when entries may leave the list; the publication then leaves them out. */
export const EntryExpiry = {
  layerLoop: Layer.effectDiscard(
    Effect.gen(function* () {
      const { settleExpiry } = yield* RevocationEntries
      const leases = yield* Leases
      const settle = Effect.repeat(
        Effect.andThen(settleExpiry, succeeded("revocation-expiry")),
        Schedule.spaced(EVERY)
      )
      yield* Effect.forkScoped(onBackground(leases.hold("revocation-expiry", () => settle)))
    })
  )
}
