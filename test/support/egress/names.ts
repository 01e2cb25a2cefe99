import { Effect, Layer } from "effect"
import * as Dns from "effect/net/Dns"
import * as NetAddress from "effect/net/NetAddress"
import { Egress } from "../../../src/egress/Egress.ts"

/** The guarded client, with names of its own. */
export const egressWith = (hosts: Readonly<Record<string, ReadonlyArray<string>>>) =>
  Egress.layerNoDeps.pipe(Layer.provide(Dns.layerStatic({ hosts })))

/**
 * The guarded client with a resolver that gives its answers one after the other, the last for ever, to whichever name
 * it is asked for; and the number of look-ups so far.
 */
export const egressRebinding = (...answers: ReadonlyArray<ReadonlyArray<string>>) => {
  const count = { lookups: 0 }
  const dns = Dns.make({
    lookup: () =>
      Effect.sync(() => {
        const answer = answers[Math.min(count.lookups, answers.length - 1)] ?? []
        count.lookups += 1
        return answer.map(NetAddress.ipFromStringUnsafe)
      }),
    resolve: () => Effect.succeed([]),
    reverse: () => Effect.succeed([])
  })
  return { count, layer: Egress.layerNoDeps.pipe(Layer.provide(Layer.succeed(Dns.Dns, dns))) }
}
