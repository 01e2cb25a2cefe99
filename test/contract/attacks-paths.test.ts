import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { raw, send } from "../support/service/client.ts"
import { ingest } from "../support/service/events.ts"
import { anyService } from "../support/service/Service.ts"

/** Ways to write `../` that some server, proxy or library has taken for it. */
const ups = [
  "../",
  "..%2f",
  "%2e%2e/",
  "%2e%2e%2f",
  "..%5c",
  "..\\",
  "%252e%252e%252f",
  "..%252f",
  "..%c0%af",
  "..%ef%bc%8f",
  "%c0%ae%c0%ae/",
  ".%00./",
  "..;/",
  "....//",
  ".%2e/",
  "/.//../"
]

const bases = [
  "/log/tile/",
  "/log/tile/0/",
  "/log/tile/entries/",
  "/log/",
  "/docs/",
  "/errors/",
  "/.well-known/",
  "/api/registry/agents/",
  "/"
]

const files = ["package.json", "etc/passwd", "src/main.ts", ".env", "proc/self/environ"]

const secrets = [
  readFileSync(new URL("../../package.json", import.meta.url), "utf8").slice(0, 60),
  "root:x:",
  "NodeRuntime.runMain",
  "CP_AID_SEED_HEX",
  "ENROLLMENT_SECRET"
]

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("a path", (it) => {
  it.effect("reaches no file, whatever leads upwards in it", () =>
    Effect.gen(function* () {
      const targets = bases.flatMap((base) =>
        ups.flatMap((up) => files.map((file, n) => `${base}${up.repeat(1 + ((n * 3) % 8))}${file}`))
      )
      yield* Effect.forEach(
        targets,
        (target) =>
          Effect.map(send(target, { key: true }), (answer) => {
            assert.isAtLeast(answer.status, 400, target)
            assert.isBelow(answer.status, 500, target)
            for (const secret of secrets) assert.notInclude(answer.text, secret, target)
          }),
        { concurrency: 16, discard: true }
      )
    })
  )

  it.effect(
    "in absolute form, for another host or of another scheme is that of this service or refused",
    () =>
      Effect.gen(function* () {
        for (const target of [
          "http://169.254.169.254/latest/meta-data",
          "http://127.0.0.1:5432/",
          "file:///etc/passwd",
          "//127.0.0.1/etc/passwd",
          "gopher://127.0.0.1/",
          "*",
          "127.0.0.1:80"
        ]) {
          const received = yield* raw(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
          assert.match(received, /^HTTP\/1\.1 4\d\d /, target)
          for (const secret of secrets) assert.notInclude(received, secret, target)
        }
        assert.match(
          yield* raw("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n"),
          /^(?:HTTP\/1\.1 4\d\d |$)/
        )
      })
  )

  it.effect("may have a query as long as a head can be, of anything, and costs little", () =>
    Effect.gen(function* () {
      const long = 15_000
      for (const value of [
        "0".repeat(long),
        `${"0".repeat(long)}x`,
        `${"9.".repeat(long / 2)}`,
        `${"%20".repeat(long / 3)}x`,
        "-".repeat(long)
      ]) {
        for (const path of ["/api/registry/agents", "/api/events/history"]) {
          const startedAt = performance.now()
          const asked = Array.from({ length: 8 }, () => send(`${path}?limit=${value}`, { key: true }))
          for (const { status } of yield* Effect.all(asked, { concurrency: 8 })) assert.isBelow(status, 500)
          // linear: a few milliseconds; quadratic: four seconds and more
          assert.isBelow(performance.now() - startedAt, 2000, `${path} ${value.slice(0, 10)}`)
        }
      }
    })
  )

  it.effect("of a tile is taken in the one spelling it has", () =>
    Effect.gen(function* () {
      yield* ingest([{ type: "leaf" }])
      for (const place of [
        "0/0",
        "0/0000",
        "00/000",
        "0/-01",
        "0/x000/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "64/000",
        "0/000/",
        "0//000",
        "0/0%30%30",
        "0/%2e/000",
        "0/000%00",
        "0/٠٠٠",
        "-1/000",
        "1e0/000"
      ]) {
        const answer = yield* send(`/log/tile/${encodeURI(place).replaceAll("%25", "%")}`)
        assert.isAtLeast(answer.status, 400, place)
        assert.isBelow(answer.status, 500, place)
      }
    })
  )
})
