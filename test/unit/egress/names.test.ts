import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as Dns from "effect/net/Dns"
import * as NetAddress from "effect/net/NetAddress"
import { TestClock } from "effect/testing"
import { Egress } from "../../../src/egress/Egress.ts"
import { production } from "../../support/egress/policies.ts"

const PUBLIC = [NetAddress.ipFromStringUnsafe("93.184.216.34")]

/** A guard over names that `lookup` answers, and the names it was asked for. */
const resolving = (lookup: (name: string) => Effect.Effect<Array<NetAddress.IpAddress>, Dns.DnsError>) => {
  const asked: Array<string> = []
  const dns = Dns.make({
    lookup: (name) => Effect.suspend(() => (asked.push(name), lookup(name))),
    resolve: () => Effect.succeed([]),
    reverse: () => Effect.succeed([])
  })
  return { asked, layer: Egress.layerNoDeps.pipe(Layer.provide(Layer.succeed(Dns.Dns, dns))) }
}

const judge = (host: string) => Egress.use((egress) => egress.judge(`https://${host}/`, production))

describe("names", () => {
  it.effect("that do not resolve within three seconds are refused", () => {
    const { layer } = resolving(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(judge("slow.example")))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { rule, reason } = yield* Fiber.join(fiber)
      assert.deepEqual([rule, reason], ["resolve", "the host did not resolve in time"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("are looked up once at a time, also past the limit, and anew when that has ended", () => {
    const { asked, layer } = resolving(() => Effect.as(Effect.sleep("10 seconds"), PUBLIC))
    return Effect.gen(function* () {
      const both = yield* Effect.forkChild(
        Effect.all([Effect.exit(judge("slow.example")), Effect.exit(judge("slow.example"))], {
          concurrency: 2
        })
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(both)
      const third = yield* Effect.forkChild(Effect.exit(judge("slow.example")))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(third)
      assert.deepEqual(asked, ["slow.example"])
      yield* TestClock.adjust("5 seconds")
      const fourth = yield* Effect.forkChild(Effect.exit(judge("slow.example")))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fourth)
      assert.deepEqual(asked, ["slow.example", "slow.example"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that are being looked up in vain do not hold up others", () => {
    const { layer } = resolving((name) => (name === "slow.example" ? Effect.never : Effect.succeed(PUBLIC)))
    return Effect.gen(function* () {
      yield* Effect.forkChild(judge("slow.example"))
      yield* judge("fast.example")
    }).pipe(Effect.provide(layer))
  })

  it.effect("that cannot be resolved are told apart from those that do not exist", () => {
    const { layer } = resolving((hostname) =>
      Effect.fail(
        new Dns.DnsError({
          reason: hostname === "gone.example" ? "NotFound" : "Temporary",
          method: "lookup",
          hostname
        })
      )
    )
    return Effect.gen(function* () {
      const gone = yield* Effect.flip(judge("gone.example"))
      const broken = yield* Effect.flip(judge("broken.example"))
      assert.deepEqual(
        [gone.reason, broken.reason],
        ["the host does not resolve", "the host could not be resolved"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("that are refused for their form or place on the list are never looked up", () => {
    const { asked, layer } = resolving(() => Effect.succeed(PUBLIC))
    return Effect.gen(function* () {
      const egress = yield* Egress
      yield* Effect.flip(egress.judge("http://a.example/", production))
      yield* Effect.flip(egress.judge("https://a.example:22/", production))
      yield* Effect.flip(egress.judge("https://u:p@a.example/", production))
      yield* Effect.flip(egress.judge("https://a.example/", { ...production, hosts: ["b.example"] }))
      assert.deepEqual(asked, [])
    }).pipe(Effect.provide(layer))
  })
})
