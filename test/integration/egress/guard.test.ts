import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Egress } from "../../../src/egress/Egress.ts"
import { TargetRefused } from "../../../src/egress/model.ts"
import { egressRebinding, egressWith } from "../../support/egress/names.ts"
import { inside, listed, production } from "../../support/egress/policies.ts"
import { ok, Receiver, saying } from "../../support/egress/Receiver.ts"
import { connectionFree, loopback, send } from "../../support/egress/requests.ts"
import { eventually } from "../../support/db/eventually.ts"

const refusal = (...args: Parameters<typeof send>) =>
  Effect.map(Effect.flip(send(...args)), (error) => {
    assert.instanceOf(error, TargetRefused)
    return error.rule
  })

describe("the guard at the connection", () => {
  it.live("sends no byte to an address that is not allowed, however it is written", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const hosts = ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "hook.test", "0"]
      for (const host of hosts)
        assert.strictEqual(
          yield* refusal(`https://${host}:${receiver.port}/`, { policy: production }),
          "address"
        )
      assert.strictEqual(
        yield* refusal(`http://127.0.0.1:${receiver.port}/`, { policy: production }),
        "scheme"
      )
      assert.strictEqual(receiver.connections, 0)
    }).pipe(Effect.provide(egressWith({ localhost: ["127.0.0.1"], "hook.test": ["127.0.0.1"] })))
  )

  it.live("sends no byte after a name that was judged public turns private", () => {
    const { count, layer } = egressRebinding(["93.184.216.34"], ["127.0.0.1"])
    return Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const url = `https://hook.test:${receiver.port}/`
      yield* Egress.use((egress) => egress.judge(url, production))
      assert.strictEqual(yield* refusal(url, { policy: production }), "address")
      assert.strictEqual(count.lookups, 2)
      assert.strictEqual(receiver.connections, 0)
    }).pipe(Effect.provide(layer))
  })

  it.live("looks a name up once per connection and connects to what it found then", () => {
    const { count, layer } = egressRebinding(["127.0.0.2"], ["127.0.0.1"])
    return Effect.gen(function* () {
      const near = yield* Receiver.make(saying(ok("near")), { address: "127.0.0.2" })
      const other = yield* Receiver.make(saying(ok("other")), { port: near.port })
      const url = `http://hook.test:${near.port}/`
      const policy = inside("127.0.0.2/32")
      assert.strictEqual(String((yield* send(url, { policy })).body), "near")
      yield* connectionFree
      // the open connection goes where it was judged to go
      assert.strictEqual(String((yield* send(url, { policy })).body), "near")
      assert.deepEqual([count.lookups, near.connections], [1, 1])
      // a new one would go elsewhere
      assert.strictEqual(yield* refusal(url, { policy: { ...policy, allowHttp: true } }), "address")
      assert.strictEqual(count.lookups, 2)
      assert.deepEqual([other.connections, other.received], [0, ""])
    }).pipe(Effect.provide(layer))
  })

  it.live("refuses a name of which one address is not allowed, without trying the others", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const policy = { ...inside("127.0.0.1/32"), allowHttp: true }
      for (const host of ["half.test", "other-half.test", "v6.test"])
        assert.strictEqual(yield* refusal(`http://${host}:${receiver.port}/`, { policy }), "address")
      assert.strictEqual(receiver.connections, 0)
      assert.strictEqual((yield* send(`http://whole.test:${receiver.port}/`, { policy })).status, 200)
    }).pipe(
      Effect.provide(
        egressWith({
          "half.test": ["127.0.0.1", "127.0.0.2"],
          "other-half.test": ["93.184.216.34", "127.0.0.1"],
          "v6.test": ["127.0.0.1", "::1"],
          "whole.test": ["127.0.0.1"]
        })
      )
    )
  )

  it.live("sends no byte over a connection that ended at another address than asked for", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      // The system takes a connection to 0.0.0.0 to itself.
      const error = yield* Effect.flip(
        send(`http://any.test:${receiver.port}/`, { policy: inside("0.0.0.0/32") })
      )
      assert.deepEqual([error._tag, error.reason], ["TargetRefused", "the connection ended elsewhere"])
      yield* eventually(
        Effect.sync(() => receiver.closed),
        (closed) => closed === 1
      )
      assert.strictEqual(receiver.received, "")
    }).pipe(Effect.provide(egressWith({ "any.test": ["0.0.0.0"] })))
  )

  it.live("does not lend a connection to a policy that would not have allowed it", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const url = `https://hook.test:${receiver.port}/`
      const http = url.replace("https", "http")
      assert.strictEqual((yield* send(http)).status, 200)
      assert.strictEqual(yield* refusal(url, { policy: production }), "address")
      assert.strictEqual(yield* refusal(http, { policy: { ...production, allowHttp: true } }), "address")
      assert.strictEqual(
        yield* refusal(http, { policy: { ...loopback, hosts: listed("other.test").hosts } }),
        "host"
      )
      assert.strictEqual(receiver.connections, 1)
    }).pipe(Effect.provide(egressWith({ "hook.test": ["127.0.0.1"] })))
  )

  it.live(
    "reaches an allowed address however it is given, and another one of the name when one does not answer",
    () =>
      Effect.gen(function* () {
        const receiver = yield* Receiver.make(saying(ok()))
        for (const host of ["dual.test", "mapped.test", "[::ffff:127.0.0.1]"])
          assert.strictEqual((yield* send(`http://${host}:${receiver.port}/`)).status, 200)
      }).pipe(
        Effect.provide(
          egressWith({ "dual.test": ["127.0.0.3", "127.0.0.1"], "mapped.test": ["::ffff:127.0.0.1"] })
        )
      )
  )

  it.live("does not follow redirects, and hands them on", () =>
    Effect.gen(function* () {
      const target = yield* Receiver.make(saying(ok()))
      for (const status of [301, 302, 303, 307, 308]) {
        const location = `location: http://127.0.0.1:${target.port}/\r\n`
        const first = yield* Receiver.make(
          saying(`HTTP/1.1 ${status} Moved\r\n${location}content-length: 0\r\n\r\n`)
        )
        const answer = yield* send(`http://127.0.0.1:${first.port}/`)
        assert.strictEqual(answer.status, status)
        assert.strictEqual(answer.headers.get("location"), `http://127.0.0.1:${target.port}/`)
      }
      assert.strictEqual(target.connections, 0)
    }).pipe(Effect.provide(egressWith({})))
  )

  it.live("resolves names as the operating system does", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()))
      const url = `http://localhost:${receiver.port}/`
      assert.strictEqual(yield* refusal(url, { policy: { ...production, allowHttp: true } }), "address")
      assert.strictEqual(receiver.connections, 0)
      const { status } = yield* send(url, { policy: inside("127.0.0.0/8", "::1/128") })
      assert.strictEqual(status, 200)
    }).pipe(Effect.provide(Egress.layer))
  )

  it.live("uses no proxy of the environment", () =>
    Effect.gen(function* () {
      const proxy = yield* Receiver.make(saying(ok("proxy")))
      const target = yield* Receiver.make(saying(ok("target")))
      const names = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "NODE_USE_ENV_PROXY"]
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          for (const name of names) process.env[name] = `http://127.0.0.1:${proxy.port}`
        }),
        () =>
          Effect.sync(() => {
            for (const name of names) delete process.env[name]
          })
      )
      const { body } = yield* send(`http://127.0.0.1:${target.port}/`)
      assert.deepEqual([String(body), proxy.connections], ["target", 0])
    }).pipe(Effect.provide(egressWith({})))
  )
})
