import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isRemote, spawnService } from "../support/service/Service.ts"

/** Nobody listens there; a start that gets so far waits for it. */
const NOWHERE = "postgres://postgres@127.0.0.1:1/nowhere"
const SECRET = "s3cr3t-value-that-must-not-be-shown"

/** What the process says and how it ends when it is started like this. */
const failedStart = (environment: Readonly<Record<string, string>>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const service = yield* spawnService({ DATABASE_URL: NOWHERE, ...environment })
      const { code } = yield* Effect.timeout(service.ended, "20 seconds")
      return { code, lines: service.log().trimEnd().split("\n") }
    })
  )

/** The table of all variables is in test/unit/config; these show that the process ends as told. */
const malformed: ReadonlyArray<readonly [variable: string, value: string]> = [
  ["PORT", "65536"],
  ["DATABASE_URL", `mysql://root:${SECRET}@localhost/x`],
  ["CP_AID_SEED_HEX", SECRET]
]

const production = { NODE_ENV: "production", CP_BASE_URL: "https://cp.example.com" }

const refusedInProduction: ReadonlyArray<
  readonly [variable: string, environment: Readonly<Record<string, string>>]
> = [
  ["DATABASE_URL", { DATABASE_URL: "" }],
  ["DATABASE_URL", { DATABASE_URL: "", EMBEDDED_POSTGRES_DIR: "/tmp/never-made" }],
  ["CP_AID_SEED_HEX", { CP_AID_SEED_HEX: "" }],
  ["ENROLLMENT_SECRET", { ENROLLMENT_SECRET: "" }],
  ["ENROLLMENT_SECRET", { ENROLLMENT_SECRET: "x".repeat(31) }],
  ["ENROLLMENT_SECRET", { ENROLLMENT_SECRET: "", NODE_ENV: " production " }]
]

describe.skipIf(isRemote)("the start", () => {
  for (const [variable, value] of malformed) {
    it.live(`ends with one line that names ${variable} when it is malformed, and never shows the value`, () =>
      Effect.gen(function* () {
        const { code, lines } = yield* failedStart({ [variable]: value })
        assert.strictEqual(code, 1, lines.join("\n"))
        assert.lengthOf(lines, 1, lines.join("\n"))
        assert.include(lines[0], variable)
        assert.notInclude(lines[0], SECRET)
      })
    )
  }

  for (const [variable, environment] of refusedInProduction) {
    it.live(
      `ends in production with one line that names ${variable} for ${JSON.stringify(environment).slice(0, 60)}`,
      () =>
        Effect.gen(function* () {
          const { code, lines } = yield* failedStart({ ...production, ...environment })
          assert.strictEqual(code, 1)
          assert.lengthOf(lines, 1, lines.join("\n"))
          assert.include(lines[0], variable)
        })
    )
  }

  it.live(
    "goes on in production when everything required is there, with a warning for each doubtful setting",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const service = yield* spawnService({
            DATABASE_URL: NOWHERE,
            NODE_ENV: "production",
            LOG_FORMAT: "",
            ENROLLMENT_SECRET: "x".repeat(32)
          })
          const url = yield* service.listening
          const answer = yield* Effect.promise(() => fetch(`${url}/api/livez`))
          assert.strictEqual(answer.status, 200)
          for (const line of service.log().trimEnd().split("\n")) JSON.parse(line)
          const metrics = yield* Effect.promise(() => fetch(`${url}/api/metrics`).then((page) => page.text()))
          for (const name of ["CP_BASE_URL", "CORS_ORIGIN"]) {
            assert.include(metrics, `aitp_control_plane_config_warnings{name="${name}"} 1`)
          }
          const { headers } = yield* Effect.promise(() => fetch(`${url}/api/livez`))
          assert.strictEqual(headers.get("access-control-allow-origin"), "*")
        })
      )
  )

  it.live("ends with one line when the port is taken", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const first = yield* spawnService({ DATABASE_URL: NOWHERE })
        const port = new URL(yield* first.listening).port
        const { code, lines } = yield* failedStart({ PORT: port })
        assert.strictEqual(code, 1)
        assert.isBelow(lines.length, 3, lines.join("\n"))
        assert.match(lines.join("\n"), /EADDRINUSE|in use/)
      })
    )
  )
})
