import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { AppConfig, configWarnings } from "../../../src/config.ts"

type Environment = Readonly<Record<string, string>>

const load = (environment: Environment) =>
  AppConfig.pipe(
    Effect.provide(
      AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment))))
    )
  )

const refusal = (environment: Environment) =>
  Effect.map(Effect.flip(load(environment)), ({ message }) => message)

const SECRET = "s3cr3t-value-that-must-not-be-shown"

const malformed: Readonly<Record<string, ReadonlyArray<string>>> = {
  PORT: ["http", "65536", "-1", "80.5", "0x50", "1e3"],
  CP_BASE_URL: ["localhost:4000", "ftp://example.com", "//example.com", `https://user:${SECRET}@example.com`],
  CP_AID_SEED_HEX: [SECRET, "ab".repeat(31), "zz".repeat(32)],
  DATABASE_URL: [`mysql://root:${SECRET}@localhost/x`, SECRET, "localhost/x"],
  DATABASE_LISTEN_URL: ["http://localhost"],
  DB_POOL_MAX: ["0", "1.5", "x"],
  DB_BACKGROUND_POOL_MAX: ["0"],
  AUTO_MIGRATE: ["yes", "TRUE", "2"],
  LEASE_SECS: ["0"],
  ENROLLMENT_PROFILE: ["lenient", "Strict"],
  DATA_ENCRYPTION_KEYS: [SECRET, "a:AAAA", `a:${"A".repeat(43)}=,a:${"B".repeat(43)}=`],
  REVOCATION_LIST_TTL_SECS: ["60", "x"],
  REVOCATION_FAIL_MODE: ["open"],
  REVOCATION_LIST_PROFILE: ["x"],
  REVOCATION_SIGNING_FORM: ["x"],
  INGEST_MAX_EVENTS: ["0", "1e3"],
  INGEST_MAX_BATCH_BYTES: ["1"],
  EVENT_TOKEN_REDACTION: ["true"],
  OBSERVED_ARTIFACT_VERIFICATION: ["on"],
  RATE_LIMIT_ENABLED: ["TRUE"],
  RATE_LIMIT_WINDOW_MS: ["60s", "0"],
  WEBHOOK_RETRY_SCHEDULE: ["5,x", "1.5", "-1"],
  WEBHOOK_SIGNING_SEED_HEX: [SECRET],
  LOG_LEVEL: ["verbose", "INFO"],
  LOG_FORMAT: ["xml"],
  REDIS_URL: ["localhost:6379", "http://localhost", "redis:///0", "redis://h/name", "redis://u:%zz@h"],
  CLIENT_IP_HEADER: ["X Client", "x-client:"],
  TRUSTED_PROXY_HOPS: ["-1", "101"],
  OTEL_EXPORTER_OTLP_ENDPOINT: ["collector:4318"],
  SHUTDOWN_DRAIN_MS: ["-1"],
  AUDIT_EVENTS_TTL_DAYS: ["-1", "1.5"],
  LOG_SIGNING_SEED_HEX: ["00"]
}

describe("configuration", () => {
  for (const [name, values] of Object.entries(malformed)) {
    it.effect(`refuses a malformed ${name} in one line that names it and never shows its value`, () =>
      Effect.forEach(values, (value) =>
        Effect.map(refusal({ [name]: value }), (message) => {
          assert.include(message, name)
          assert.notInclude(message, "\n")
          assert.notInclude(message, SECRET)
          assert.isBelow(message.length, 200)
        })
      )
    )
  }

  it.effect("takes an empty or blank variable for an unset one", () =>
    Effect.gen(function* () {
      const names = [
        ...Object.keys(malformed),
        "API_KEYS",
        "ENROLLMENT_SECRET",
        "METRICS_TOKEN",
        "CORS_ORIGIN",
        "HOST"
      ]
      const unset = yield* load({})
      assert.deepEqual(yield* load(Object.fromEntries(names.map((name) => [name, ""]))), unset)
    })
  )

  it.effect("reads booleans in four spellings", () =>
    Effect.gen(function* () {
      for (const [text, value] of [
        ["true", true],
        ["1", true],
        ["false", false],
        ["0", false],
        [" true ", true]
      ] as const) {
        assert.strictEqual((yield* load({ AUTO_MIGRATE: text })).database.autoMigrate, value)
      }
    })
  )

  it.effect("turns the production rules on for the exact word alone", () =>
    Effect.gen(function* () {
      for (const name of ["", "Production", "prod", "productions", "test", "development"]) {
        assert.isFalse((yield* load({ NODE_ENV: name })).production, name)
      }
      assert.include(yield* refusal({ NODE_ENV: " production\n" }), "DATABASE_URL")
    })
  )

  const production = {
    NODE_ENV: "production",
    DATABASE_URL: "postgres://localhost/x",
    CP_AID_SEED_HEX: "AB".repeat(32),
    ENROLLMENT_SECRET: "x".repeat(32),
    CP_BASE_URL: "https://cp.example.com/",
    CORS_ORIGIN: "https://console.example.com",
    API_KEYS: "a"
  }

  it.effect(
    "is refused in production without each of the required variables, and starts with all of them",
    () =>
      Effect.gen(function* () {
        for (const name of ["DATABASE_URL", "CP_AID_SEED_HEX", "ENROLLMENT_SECRET"]) {
          assert.match(yield* refusal({ ...production, [name]: "" }), new RegExp(`^${name}: [^\\n]+$`))
        }
        assert.match(
          yield* refusal({ ...production, ENROLLMENT_SECRET: "x".repeat(31) }),
          /^ENROLLMENT_SECRET: /
        )
        assert.isTrue((yield* load(production)).production)
      })
  )

  it.effect("warns of each doubtful setting and of no other", () =>
    Effect.gen(function* () {
      const namesOf = (environment: Environment) =>
        Effect.map(load(environment), (settings) => configWarnings(settings).map(([name]) => name))
      assert.deepEqual(yield* namesOf(production), [])
      assert.deepEqual(
        yield* namesOf({ ...production, CP_BASE_URL: "http://x", CORS_ORIGIN: "", API_KEYS: "" }),
        ["CP_BASE_URL", "CORS_ORIGIN", "API_KEYS"]
      )
      assert.deepEqual(yield* namesOf({ API_KEYS: "a" }), [])
      assert.deepEqual(yield* namesOf({ ENROLLMENT_SECRET: "short" }), ["API_KEYS", "ENROLLMENT_SECRET"])
    })
  )

  it.effect("reads lists, secrets and the base URL as documented", () =>
    Effect.gen(function* () {
      const { keys, server } = yield* load({
        ...production,
        API_KEYS: " a ,, b,",
        CORS_ORIGIN: "https://a, https://b"
      })
      assert.deepEqual(keys.apiKeys.map(Redacted.value), ["a", "b"])
      assert.deepEqual(server.corsOrigins, ["https://a", "https://b"])
      assert.strictEqual(server.baseUrl, "https://cp.example.com")
      assert.notInclude(JSON.stringify(keys), "xxxxxxxx")
      const ring = `k1:${"A".repeat(43)}=,k0:${"B".repeat(43)}`
      const { dataEncryptionKeys } = (yield* load({ DATA_ENCRYPTION_KEYS: ring })).keys
      assert.deepEqual(
        dataEncryptionKeys?.map(({ id }) => id),
        ["k1", "k0"]
      )
    })
  )

  it.effect("clamps the heartbeat and reads the standard retry schedule", () =>
    Effect.gen(function* () {
      for (const [text, ms] of [
        ["0", 1000],
        ["1000", 1000],
        ["99999999999", 2_147_483_647]
      ] as const) {
        assert.strictEqual((yield* load({ SSE_HEARTBEAT_MS: text })).stream.heartbeatMs, ms)
      }
      const { retryScheduleSecs } = (yield* load({ WEBHOOK_RETRY_SCHEDULE: "5, 300" })).webhooks
      assert.deepEqual(retryScheduleSecs, [5, 300])
      assert.isAbove(
        (yield* load({ WEBHOOK_RETRY_SCHEDULE: "standard" })).webhooks.retryScheduleSecs?.length ?? 0,
        5
      )
    })
  )
})
