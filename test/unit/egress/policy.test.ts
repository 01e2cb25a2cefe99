import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { AppConfig } from "../../../src/config.ts"
import { webhookTargets } from "../../../src/egress/policy.ts"

const load = (environment: Readonly<Record<string, string>>) =>
  AppConfig.pipe(
    Effect.provide(
      AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment))))
    )
  )

const targets = (environment: Readonly<Record<string, string>>) =>
  Effect.map(load(environment), webhookTargets)

const production = {
  NODE_ENV: "production",
  DATABASE_URL: "postgres://db/x",
  CP_AID_SEED_HEX: "ab".repeat(32),
  ENROLLMENT_SECRET: "e".repeat(32)
}

describe("the policy of webhooks", () => {
  it.effect("allows any public host by default, over http only outside production", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* targets({}), { hosts: [], allowCidrs: [], allowHttp: true })
      assert.deepEqual(yield* targets(production), { hosts: [], allowCidrs: [], allowHttp: false })
    })
  )

  it.effect("has the configured hosts in the spelling of the URL parser", () =>
    Effect.gen(function* () {
      const { hosts } = yield* targets({
        WEBHOOK_URL_ALLOWLIST:
          "Hooks.Example.COM, .example.org,,bücher.example, example.net. ,8.8.8.8,2606:4700:0::1111,[::1]"
      })
      assert.deepEqual(hosts, [
        "hooks.example.com",
        ".example.org",
        "xn--bcher-kva.example",
        "example.net",
        "8.8.8.8",
        "[2606:4700::1111]",
        "[::1]"
      ])
    })
  )

  it.effect("has the configured networks", () =>
    Effect.gen(function* () {
      const { allowCidrs } = yield* targets({ WEBHOOK_ALLOW_CIDRS: "10.0.0.0/8, 192.168.1.7/32,fd00::/8" })
      assert.deepEqual(allowCidrs.map(String), ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8"])
    })
  )

  for (const value of [
    "10.0.0.5/8",
    "10.0.0.0",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0.0/8;fd00::/8",
    "intranet"
  ])
    it.effect(`does not start with the network ${value}`, () =>
      Effect.map(Effect.flip(load({ WEBHOOK_ALLOW_CIDRS: value })), ({ message }) => {
        assert.include(message, "WEBHOOK_ALLOW_CIDRS")
        assert.include(message, "CIDR")
      })
    )

  for (const value of [
    "https://hooks.example.com",
    "hooks.example.com:8443",
    "hooks.example.com/path",
    "user@hooks.example.com",
    "*.example.com",
    "..example.com",
    ".",
    "exa mple.com",
    "1.2.3"
  ])
    it.effect(`does not start with the host ${value}`, () =>
      Effect.map(Effect.flip(load({ WEBHOOK_URL_ALLOWLIST: value })), ({ message }) =>
        assert.include(message, "WEBHOOK_URL_ALLOWLIST")
      )
    )
})
