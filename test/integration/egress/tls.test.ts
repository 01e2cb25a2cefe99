import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer } from "node:net"
import { getCACertificates, setDefaultCACertificates } from "node:tls"
import { RequestFailed } from "../../../src/egress/model.ts"
import { eventually } from "../../support/db/eventually.ts"
import { certificate, privateKey } from "../../support/egress/certificate.ts"
import { egressWith } from "../../support/egress/names.ts"
import { ok, Receiver, saying } from "../../support/egress/Receiver.ts"
import { connectionFree, send } from "../../support/egress/requests.ts"

const secure = { tls: { cert: certificate, key: privateKey } }
const names = egressWith({ "hook.test": ["127.0.0.1"], "other.test": ["127.0.0.1"] })

/** Trusts the certificate within the scope, as an operator does for a private authority. */
const trusted = Effect.acquireRelease(
  Effect.sync(() => {
    const before = getCACertificates("default")
    setDefaultCACertificates([...before, certificate])
    return before
  }),
  (before) => Effect.sync(() => setDefaultCACertificates(before))
)

const failure = (url: string, connectTimeoutMs = 10_000) =>
  Effect.map(Effect.flip(send(url, { connectTimeoutMs })), (error) => {
    assert.instanceOf(error, RequestFailed)
    return [error.phase, error.reason]
  })

describe("TLS", () => {
  it.live("reaches a host whose certificate is trusted", () =>
    Effect.gen(function* () {
      yield* trusted
      const receiver = yield* Receiver.make(saying(ok()), secure)
      const url = `https://hook.test:${receiver.port}/`
      assert.strictEqual((yield* send(url)).status, 200)
      yield* connectionFree
      assert.strictEqual((yield* send(url)).status, 200)
      assert.strictEqual(receiver.connections, 1)
    }).pipe(Effect.provide(names))
  )

  it.live("refuses a certificate of another host", () =>
    Effect.gen(function* () {
      yield* trusted
      const receiver = yield* Receiver.make(saying(ok()), secure)
      for (const host of ["other.test", "127.0.0.1"])
        assert.deepEqual(yield* failure(`https://${host}:${receiver.port}/`), [
          "connect",
          "the certificate is for another host"
        ])
      assert.strictEqual(receiver.received, "")
    }).pipe(Effect.provide(names))
  )

  it.live("refuses a self-signed certificate and sends nothing", () =>
    Effect.gen(function* () {
      const receiver = yield* Receiver.make(saying(ok()), secure)
      assert.deepEqual(yield* failure(`https://hook.test:${receiver.port}/`), [
        "connect",
        "the certificate is self-signed"
      ])
      yield* eventually(
        Effect.sync(() => receiver.closed),
        (closed) => closed === 1
      )
      assert.strictEqual(receiver.received, "")
    }).pipe(Effect.provide(names))
  )

  it.live("fails where no TLS is spoken", () =>
    Effect.gen(function* () {
      const speaking = createServer((socket) => void socket.on("error", () => {}).write("220 ready\r\n"))
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void speaking.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => speaking.close())
      )
      const address = speaking.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      assert.deepEqual(yield* failure(`https://hook.test:${port}/`), ["connect", "the TLS handshake failed"])
    }).pipe(Effect.provide(names))
  )

  it.live("gives up on a handshake that does not end in time, and closes the connection", () =>
    Effect.gen(function* () {
      const silent = yield* Receiver.make(() => {})
      assert.deepEqual(yield* failure(`https://hook.test:${silent.port}/`, 150), [
        "connect",
        "no connection in time"
      ])
      yield* eventually(
        Effect.sync(() => silent.closed),
        (closed) => closed === 1
      )
    }).pipe(Effect.provide(names))
  )
})
