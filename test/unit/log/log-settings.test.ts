import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Option } from "effect"
import { parseVerifierKey } from "../../../src/client/log-note.ts"
import { AppConfig } from "../../../src/config.ts"
import { LocalSecrets } from "../../../src/embedded/databaseFromConfig.ts"
import { Identity } from "../../../src/identity/Identity.ts"
import { Secrets } from "../../../src/identity/Secrets.ts"
import { LogKey } from "../../../src/log/LogKey.ts"
import { noteKey } from "../../support/log/MemoryLog.ts"
import { testConfig } from "../../support/TestPlatform.ts"

type Environment = Readonly<Record<string, string>>

const first = { epoch: "0a0b0c0d", firstEpoch: "0a0b0c0d" }
const adopted = { ...first, epoch: "11223344" }

const platform = (env: Environment) =>
  Layer.mergeAll(LogKey.layer, Identity.layer).pipe(
    Layer.provide(Secrets.layer),
    Layer.provide(Layer.succeed(LocalSecrets, Option.none())),
    Layer.provide(testConfig(env))
  )

const identity = (env: Environment, lineage = first) =>
  Effect.flatMap(LogKey, ({ identityIn }) => identityIn(lineage)).pipe(Effect.provide(platform(env)))

describe("the key of the log", () => {
  it.effect("is derived from the seed, and is not the key of the AID", () =>
    Effect.gen(function* () {
      const { key } = yield* identity({})
      const { signer } = yield* Identity.pipe(Effect.provide(platform({})))
      assert.notStrictEqual(Buffer.compare(key.key, signer.raw), 0)
      assert.strictEqual(key.type, "note")
      assert.deepEqual((yield* identity({})).key, key)
      const other = yield* identity({ CP_AID_SEED_HEX: "22".repeat(32) })
      assert.notDeepEqual(other.key.key, key.key)
    })
  )

  it.effect("is the configured one", () =>
    Effect.gen(function* () {
      const { vkey } = yield* identity({ LOG_SIGNING_SEED_HEX: "07".repeat(32), LOG_ORIGIN: "log.test" })
      assert.strictEqual(vkey, noteKey("log.test", 7).vkey)
      assert.strictEqual((yield* Effect.promise(() => parseVerifierKey(vkey))).name, "log.test")
    })
  )

  it.effect("has the log's origin as name: of this deployment, and of this lineage", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [Environment, string]> = [
        [{}, "localhost:4000/log"],
        [{ CP_BASE_URL: "https://cp.example.com/" }, "cp.example.com/log"],
        [{ CP_BASE_URL: "https://cp.example.com:8443/a/b+c" }, "cp.example.com:8443/a/b%2Bc/log"],
        [{ LOG_ORIGIN: "example.com/events" }, "example.com/events"]
      ]
      for (const [env, origin] of cases) {
        const own = yield* identity(env)
        assert.deepEqual([own.origin, own.key.name], [origin, origin])
        const next = yield* identity(env, adopted)
        assert.strictEqual(next.origin, `${origin}/11223344`)
        assert.deepEqual(next.key.key, own.key.key)
        assert.notDeepEqual(next.key.id, own.key.id)
      }
    })
  )

  it.effect("signs a tree as a note that says all of it, and always the same", () =>
    Effect.gen(function* () {
      const { origin, sign } = yield* identity({})
      const root = Buffer.alloc(32, 1)
      const note = sign({ size: 5, root })
      assert.isTrue(note.startsWith(`${origin}\n5\n${root.toString("base64")}\n\n\u2014 ${origin} `))
      assert.strictEqual(sign({ size: 5, root }), note)
      assert.notStrictEqual(sign({ size: 6, root }), note)
    })
  )
})

const load = (environment: Environment) =>
  AppConfig.pipe(
    Effect.provide(
      AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment))))
    )
  )

describe("the settings of the log", () => {
  const witness = noteKey("witness.test/w", 5, 4).vkey

  it.effect("take witnesses as verifier key and URL", () =>
    Effect.gen(function* () {
      const other = noteKey("other.test", 6, 4).vkey
      const { log } = yield* load({
        LOG_WITNESSES: ` ${witness}  https://w.test/prefix/ ,${other} http://127.0.0.1:8080`,
        LOG_WITNESS_QUORUM: "2"
      })
      assert.deepEqual(log.witnesses, [
        { vkey: witness, url: "https://w.test/prefix" },
        { vkey: other, url: "http://127.0.0.1:8080" }
      ])
    })
  )

  it.effect("stop the start, naming the variable, when they cannot be meant", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, Environment]> = [
        ["LOG_ORIGIN", { LOG_ORIGIN: "two words" }],
        ["LOG_ORIGIN", { LOG_ORIGIN: "a+b" }],
        ["LOG_WITNESSES", { LOG_WITNESSES: "w.test" }],
        ["LOG_WITNESSES", { LOG_WITNESSES: witness }],
        ["LOG_WITNESSES", { LOG_WITNESSES: `${witness} ftp://w.test` }],
        ["LOG_WITNESSES", { LOG_WITNESSES: `${witness} https://w.test more` }],
        // The key of a log; a key whose id is another's.
        ["LOG_WITNESSES", { LOG_WITNESSES: `${noteKey("witness.test/w", 5, 1).vkey} https://w.test` }],
        ["LOG_WITNESSES", { LOG_WITNESSES: `${witness.replace("witness", "wittness")} https://w.test` }],
        ["LOG_WITNESS_QUORUM", { LOG_WITNESSES: `${witness} https://w.test`, LOG_WITNESS_QUORUM: "2" }],
        ["LOG_SIGNING_SEED_HEX", { LOG_SIGNING_SEED_HEX: "AB".repeat(32), CP_AID_SEED_HEX: "ab".repeat(32) }]
      ]
      for (const [name, environment] of cases) {
        const { message } = yield* Effect.flip(load(environment))
        assert.isTrue(message.startsWith(`${name}: `), `${message} for ${JSON.stringify(environment)}`)
      }
    })
  )
})
