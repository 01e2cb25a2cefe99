import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { AppConfig } from "../../../src/config.ts"

const fileText = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

/** Variables that src/config.ts reads. */
const read = [...fileText("src/config.ts").matchAll(/\bEnv\.\w+\(\s*"([A-Z][A-Z0-9_]*)"/g)].map(
  ([, name]) => name ?? ""
)

/** Lines `NAME=value` of .env.example. */
const listed = [...fileText(".env.example").matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
  ([, name = "", value = ""]) => [name, value] as const
)

const settingsOf = (environment: Readonly<Record<string, string>>) =>
  AppConfig.pipe(
    Effect.provide(
      AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment))))
    )
  )

describe(".env.example", () => {
  it("lists exactly the variables that the configuration reads, each once", () => {
    assert.isAbove(read.length, 50)
    assert.deepEqual(listed.map(([name]) => name).toSorted(), [...new Set(read)].toSorted())
  })

  it.effect("shows the defaults: taken as it is, it changes nothing but the database", () =>
    Effect.gen(function* () {
      const { database, ...given } = yield* settingsOf(Object.fromEntries(listed))
      const { database: defaults, ...unset } = yield* settingsOf({})
      assert.deepEqual(given, unset)
      assert.deepEqual({ ...database, url: undefined }, defaults)
    })
  )
})
