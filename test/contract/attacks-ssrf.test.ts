import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { joined, unique } from "../support/service/agents.ts"
import { read, send } from "../support/service/client.ts"
import { ingest } from "../support/service/events.ts"
import { isRemote, ownService } from "../support/service/Service.ts"
import { anchor, type AnchorPage, anchorPath, ANCHORS } from "../support/service/trust.ts"
import { ask, subscribe, webhookPath, WEBHOOKS } from "../support/service/webhooks.ts"

/** Something inside the network that nobody may reach: counts who connects. */
const canary: Effect.Effect<{ readonly port: number; readonly touched: () => number }, never, Scope.Scope> =
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly touched: () => number; readonly close: () => void }>(
      (resume) => {
        let touched = 0
        const server = createServer((socket) => {
          touched += 1
          socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        })
        server.listen(0, "::", () => {
          const { port } = server.address() as AddressInfo // a TCP server that listens
          resume(Effect.succeed({ port, touched: () => touched, close: () => void server.close() }))
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

/** The canary's address, as attackers write it. */
const spellings = (port: number): ReadonlyArray<string> =>
  [
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0.0.0.0",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST.",
    "sub.localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[0:0:0:0:0:0:0:1]",
    "\uff11\uff12\uff17.0.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
    "example.com@127.0.0.1",
    "127.0.0.1:80@127.0.0.1"
  ].flatMap((host) => ["http", "https"].map((scheme) => `${scheme}://${host}:${port}/x`))

describe.skipIf(isRemote)("a URL that leads inside", () => {
  layer(
    ownService({
      JWKS_REFRESH_INTERVAL_MS: "1000",
      REVOCATION_MIRROR_ENABLED: "true",
      REVOCATION_MIRROR_INTERVAL_MS: "1000"
    }),
    { timeout: "90 seconds", excludeTestServices: true }
  )((it) => {
    it.effect("is reached by no route that takes a URL, nor by what is done with it later", () =>
      Effect.gen(function* () {
        const { port, touched } = yield* canary
        const made: Array<string> = []
        const { id } = yield* subscribe()
        for (const url of spellings(port)) {
          const context = url
          for (const [method, path] of [
            ["POST", WEBHOOKS],
            ["PATCH", webhookPath(id)],
            ["PUT", webhookPath(id)]
          ] as const) {
            const answer = yield* ask(method, path, { url })
            // a name is judged when it is connected to
            if (answer.status < 300 && method === "POST") made.push(answer.json<{ id: string }>().id)
            else assert.isBelow(answer.status, 500, context)
          }
          for (const body of [
            { issuerUrl: url, namespace: unique("n") },
            { issuerUrl: "https://issuer.example", jwksUrl: url, namespace: unique("n") }
          ]) {
            const answer = yield* ask("POST", ANCHORS, body)
            assert.isBelow(answer.status, 500, context)
            if (answer.status !== 201) continue
            const anchor = answer.json<{ id: string }>().id
            yield* ask("PATCH", anchorPath(anchor), { jwksUrl: url })
            yield* ask("GET", anchorPath(anchor, "/jwks"))
          }
          yield* send("/api/registry/enroll", { body: { manifest: { handshake_endpoint: url, aid: url } } })
        }
        // agents that say where their own list is, and where they answer
        for (const url of spellings(port).slice(0, 8)) {
          yield* joined({
            extensions: { "rfc-aitp-0008.revocation_list_uri": url },
            accepted_trust_anchors: [url],
            identity_hint: { type: "oidc", subject: "x", issuer: url }
          })
        }
        for (const webhook of made) yield* ask("POST", webhookPath(webhook, "/test"), {})
        yield* ask("POST", webhookPath(id, "/test"), {})
        yield* ingest([{ type: "agent.registered" }, { type: "tct.issued" }])
        // every key set was asked for at least once, and refused
        const isTried = ({ jwksError }: { readonly jwksError: string | null }) => jwksError !== null
        yield* eventually(
          read<AnchorPage>(`${ANCHORS}?limit=1000`),
          ({ trustAnchors }) => trustAnchors.length > 20 && trustAnchors.every(isTried),
          20_000
        )
        assert.strictEqual(touched(), 0)
      })
    )
  })

  layer(ownService({ WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8", JWKS_REFRESH_INTERVAL_MS: "1000" }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })("where it is allowed", (it) => {
    it.effect("is reached, so that it would have been noticed", () =>
      Effect.gen(function* () {
        const { port, touched } = yield* canary
        yield* anchor({ issuerUrl: "https://issuer.example", jwksUrl: `http://127.0.0.1:${port}/x` })
        yield* eventually(Effect.sync(touched), (times) => times > 0)
      })
    )
  })
})
