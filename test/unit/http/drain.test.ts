import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { connect } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig } from "../../../src/config.ts"
import { Drain } from "../../../src/http/Drain.ts"
import { send } from "../../support/http/request.ts"
import { TestApp, testApp } from "../../support/http/TestApp.ts"

const until = (running: number) =>
  Effect.flatMap(TestApp, ({ drain }) =>
    Effect.repeat(Effect.sync(drain.running), { until: (now) => now === running })
  )

const main = new URL("../../support/http/main.ts", import.meta.url).pathname

/** The edge as a process; ready once it listens. */
const start = async (environment: Record<string, string> = {}) => {
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env["PATH"], PORT: "0", HOST: "127.0.0.1", LOG_FORMAT: "json", ...environment },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const lines: Array<string> = []
  const url = await new Promise<string>((resolve) => {
    child.stdout.on("data", (chunk) => {
      lines.push(...String(chunk).split("\n").filter(Boolean))
      const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(lines.join("\n")) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  return { child, lines, url }
}

/** Exit code and milliseconds from the signal to it. */
const stop = async (child: ChildProcess, signals: ReadonlyArray<NodeJS.Signals>) => {
  const before = performance.now()
  for (const signal of signals) child.kill(signal)
  const [code] = (await once(child, "exit")) as [number | null]
  return { code, ms: performance.now() - before }
}

describe.concurrent("a process told to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`by ${signal} answers as shutting_down for two seconds and exits 0`, async () => {
      const { child, url } = await start()
      const stopped = stop(child, [signal])
      await new Promise((resolve) => setTimeout(resolve, 300))
      const readyz = await fetch(`${url}/api/readyz`)
      assert.deepStrictEqual(await readyz.json(), { ready: false, reason: "shutting_down" })
      assert.strictEqual((await fetch(`${url}/api/livez`)).status, 200)
      const { code, ms } = await stopped
      assert.strictEqual(code, 0)
      assert.isAtLeast(ms, 1900)
      assert.isBelow(ms, 4000)
    })
  }

  it("exits 0 after SHUTDOWN_DRAIN_MS when that is shorter", async () => {
    const { child } = await start({ SHUTDOWN_DRAIN_MS: "300" })
    const { code, ms } = await stop(child, ["SIGTERM"])
    assert.strictEqual(code, 0)
    assert.isBelow(ms, 1500)
  })

  it("twice exits at once", async () => {
    const { child } = await start()
    const stopped = stop(child, ["SIGTERM"])
    setTimeout(() => child.kill("SIGTERM"), 200)
    const { code, ms } = await stopped
    assert.strictEqual(code, 1)
    assert.isBelow(ms, 1500)
  })

  it("goes on when nobody reads its log any more", async () => {
    const { child, url } = await start()
    child.stdout?.destroy()
    for (let i = 0; i < 3; i++) {
      assert.strictEqual((await fetch(`${url}/api/livez`)).status, 200)
      await new Promise((resolve) => setTimeout(resolve, 150)) // past the flush of the access log
    }
    assert.strictEqual((await stop(child, ["SIGTERM"])).code, 0)
  })

  it("has logged one JSON object per line", async () => {
    const { child, lines } = await start()
    await stop(child, ["SIGTERM", "SIGINT"])
    for (const line of lines) {
      const record = JSON.parse(line) as Record<string, unknown>
      assert.isString(record["time"])
      assert.isString(record["level"])
      assert.property(record, "message")
    }
  })
})

const variables = ConfigProvider.layer(ConfigProvider.fromEnvRecord({ SHUTDOWN_DRAIN_MS: "5000" }))

/** A drain that was told to stop, and whether it lets go. */
const stopping = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const hold = Layer.provideMerge(Drain.layerHold, Drain.layer).pipe(
    Layer.provide(AppConfig.layer),
    Layer.provide(variables)
  )
  const drain = yield* Effect.map(Layer.buildWithScope(hold, scope), (context) => Context.get(context, Drain))
  return {
    drain,
    stop: Effect.forkChild(Scope.close(scope, Exit.void))
  }
})

const isDone = (fiber: Fiber.Fiber<unknown>) => fiber.pollUnsafe() !== undefined

describe("a drain", () => {
  it.effect("without requests ends after two seconds, not before", () =>
    Effect.gen(function* () {
      const { drain, stop } = yield* stopping
      const fiber = yield* stop
      yield* TestClock.adjust("1900 millis")
      assert.isTrue(drain.active())
      assert.isFalse(isDone(fiber))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(isDone(fiber))
    })
  )

  it.effect("waits for the requests that run", () =>
    Effect.gen(function* () {
      const { drain, stop } = yield* stopping
      drain.enter()
      const fiber = yield* stop
      yield* TestClock.adjust("4 seconds")
      assert.isFalse(isDone(fiber))
      drain.leave()
      yield* TestClock.adjust("50 millis")
      assert.isTrue(isDone(fiber))
    })
  )

  it.effect("waits no longer than SHUTDOWN_DRAIN_MS", () =>
    Effect.gen(function* () {
      const { drain, stop } = yield* stopping
      drain.enter()
      const fiber = yield* stop
      yield* TestClock.adjust("4900 millis")
      assert.isFalse(isDone(fiber))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(isDone(fiber))
    })
  )

  it.effect("wakes who waits for its begin, once or later", () =>
    Effect.gen(function* () {
      const { drain } = yield* stopping
      const waiting = yield* Effect.forkChild(drain.begun)
      yield* drain.begin
      yield* drain.begin
      yield* Fiber.join(waiting)
      yield* drain.begun
    })
  )
})

layer(testApp(), { excludeTestServices: true })("a request", (it) => {
  it.effect("counts as running until it is answered", () =>
    Effect.gen(function* () {
      const { release } = yield* TestApp
      const held = yield* Effect.forkChild(send("/api/held"))
      yield* until(1)
      yield* release
      assert.strictEqual((yield* Fiber.join(held)).status, 200)
      yield* until(0)
    })
  )

  it.effect("stops counting when its client leaves", () =>
    Effect.gen(function* () {
      const { port } = yield* TestApp
      const socket = connect(port, "127.0.0.1")
      socket.write("POST /api/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
      yield* until(1)
      socket.destroy()
      yield* until(0)
    })
  )
})
