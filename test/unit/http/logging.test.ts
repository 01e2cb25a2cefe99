import { assert, describe, it, vi } from "@effect/vitest"
import { Cause, ConfigProvider, Context, Effect, Layer } from "effect"
import { anonymous } from "../../../src/access/Principal.ts"
import { open } from "../../../src/access/Access.ts"
import { AppConfig } from "../../../src/config.ts"
import { AccessLog, type AccessRecord } from "../../../src/http/AccessLog.ts"
import { CurrentRequest } from "../../../src/http/CurrentRequest.ts"
import * as Logging from "../../../src/ops/Logging.ts"

/** Runs the effect under the configured loggers and access log; what it wrote to standard output, by line. */
const written = <A, E>(environment: Record<string, string>, effect: Effect.Effect<A, E, AccessLog>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const spy = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      lines.push(...String(chunk).split("\n").slice(0, -1))
      return true
    })
    const layers = Layer.merge(Logging.layer, AccessLog.layer).pipe(
      Layer.provide(AppConfig.layer),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment)))
    )
    yield* Effect.ensuring(
      Effect.provide(effect, layers),
      Effect.sync(() => spy.mockRestore())
    )
    return lines
  })

const json = { LOG_FORMAT: "json" }
const parse = (line: string | undefined) => JSON.parse(line ?? "null") as Record<string, unknown>

const request = Context.make(CurrentRequest, {
  id: "req-1",
  principal: anonymous,
  route: { key: "GET /x", method: "GET", template: "/x", access: open, bodyLimit: 0, limitedBy: "caller" },
  wantsProblem: false
})

const record: AccessRecord = {
  requestId: "req-1",
  method: "GET",
  path: "/api/items/x",
  route: "/api/items/:id",
  status: 200,
  ms: 1.25,
  actor: "anonymous"
}

const access = (fields: Partial<AccessRecord>) =>
  Effect.map(AccessLog, (log) => log.write({ ...record, ...fields }))

describe("a JSON log", () => {
  it.effect("has a line per record with time, level, message and annotations", () =>
    Effect.gen(function* () {
      const lines = yield* written(json, Effect.annotateLogs(Effect.logWarning("careful"), "job", "sweep"))
      assert.lengthOf(lines, 1)
      const { time, ...rest } = parse(lines[0])
      assert.isString(time)
      assert.deepStrictEqual(rest, { level: "warn", message: "careful", annotations: { job: "sweep" } })
    })
  )

  it.effect("carries the id of the request it is written for", () =>
    Effect.gen(function* () {
      const lines = yield* written(json, Effect.provideContext(Effect.logInfo("x"), request))
      assert.propertyVal(parse(lines[0]), "requestId", "req-1")
    })
  )

  it.effect("shows the cause, on the same line", () =>
    Effect.gen(function* () {
      const lines = yield* written(json, Effect.logError("failed", Cause.die(new Error("a\nb"))))
      assert.lengthOf(lines, 1)
      assert.include(String(parse(lines[0])["cause"]), "a\nb")
    })
  )

  it.effect("stays a line whatever is logged", () =>
    Effect.gen(function* () {
      const loop: Record<string, unknown> = {}
      loop["self"] = loop
      const lines = yield* written(
        json,
        Effect.andThen(Effect.logInfo('x\n{"level":"error"}'), Effect.logInfo(loop, 1n, undefined))
      )
      assert.lengthOf(lines, 2)
      for (const line of lines) assert.propertyVal(parse(line), "level", "info")
    })
  )

  it.effect("keeps to LOG_LEVEL", () =>
    Effect.gen(function* () {
      const both = Effect.andThen(Effect.logInfo("quiet"), Effect.logError("loud"))
      const lines = yield* written({ ...json, LOG_LEVEL: "error" }, both)
      assert.deepStrictEqual(
        lines.map((line) => parse(line)["message"]),
        ["loud"]
      )
      assert.lengthOf(yield* written({ ...json, LOG_LEVEL: "debug" }, Effect.logDebug("detail")), 1)
    })
  )

  it.effect("is the default in production only", () =>
    Effect.gen(function* () {
      const production = {
        NODE_ENV: "production",
        DATABASE_URL: "postgres://localhost/x",
        CP_AID_SEED_HEX: "00".repeat(32),
        ENROLLMENT_SECRET: "x".repeat(32)
      }
      assert.propertyVal(parse((yield* written(production, Effect.logInfo("x")))[0]), "message", "x")
      const [line = ""] = yield* written({}, access({}))
      assert.isFalse(line.startsWith("{"))
    })
  )
})

describe("an access log", () => {
  it.effect("has what happened, and is flushed at the end", () =>
    Effect.gen(function* () {
      const lines = yield* written(json, access({}))
      assert.deepInclude(parse(lines[0]), {
        level: "info",
        message: "request",
        requestId: "req-1",
        method: "GET",
        path: "/api/items/x",
        route: "/api/items/:id",
        status: 200,
        actor: "anonymous"
      })
    })
  )

  it.effect("cannot be broken by what a client sends, in either form", () =>
    Effect.gen(function* () {
      const hostile = access({ path: '/a"\n{"level":"error"}\u001b[31m', requestId: 'x","status":"999' })
      const lines = yield* written(json, hostile)
      assert.lengthOf(lines, 1)
      assert.propertyVal(parse(lines[0]), "status", 200)
      const [pretty = "", ...more] = yield* written({ LOG_FORMAT: "pretty" }, hostile)
      assert.lengthOf(more, 0)
      assert.notInclude(pretty, "\u001b")
    })
  )

  it.effect("is silent above level info", () =>
    Effect.gen(function* () {
      assert.lengthOf(yield* written({ ...json, LOG_LEVEL: "warn" }, access({})), 0)
    })
  )
})
