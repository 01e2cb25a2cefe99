import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../support/db/eventually.ts"
import { agentPath } from "../support/service/agents.ts"
import { raw, send } from "../support/service/client.ts"
import { postEvents } from "../support/service/events.ts"
import { API_KEY, Control, isRemote, ownService } from "../support/service/Service.ts"
import { ask, WEBHOOKS } from "../support/service/webhooks.ts"

const FORGED = '{"time":"2026-01-01T00:00:00.000Z","level":"error","message":"FORGED","requestId":"x"}'

/** What makes a line of a log end, or a terminal obey. */
const injections = [
  `a\n${FORGED}`,
  `a\r\n${FORGED}`,
  `a\u2028${FORGED}`,
  `a\u0085${FORGED}`,
  `"}\n${FORGED}`,
  "\u001b[2J\u001b[31mFORGED\u001b]0;title\u0007",
  "\u009b31mFORGED",
  "a\0b",
  "%0a%0dFORGED",
  "${jndi:ldap://127.0.0.1/FORGED}",
  "\u202eDEGROF"
]

const attack = Effect.gen(function* () {
  for (const text of injections) {
    const encoded = encodeURIComponent(text)
    yield* send(agentPath(text), { key: true })
    yield* send(`/api/events/${encoded}?type=${encoded}&cursor=${encoded}`, { key: true })
    yield* send(`/${encoded}`)
    yield* postEvents([
      { id: text, type: text, source: text, sessionId: text, namespace: text, payload: { [text]: text } }
    ])
    yield* ask("POST", WEBHOOKS, { url: text, events: [text], filter: { [text]: text } })
    yield* ask("POST", "/api/revocation/entries", { jti: text, reason: text })
    yield* send("/api/registry/enroll", {
      body: JSON.stringify({ manifest: { [text]: text, aid: text, version: text } })
    })
    // Node refuses to send most of these; a client that writes bytes does not
    for (const header of [
      "X-Request-Id",
      "User-Agent",
      "Authorization",
      "Idempotency-Key",
      "X-Forwarded-For",
      "traceparent"
    ]) {
      yield* raw(
        Buffer.from(
          `GET /api/livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}: ${text.replaceAll(/[\r\n\0]/g, "\t")}\r\n\r\n`
        )
      )
    }
    yield* raw(Buffer.from(`G\u001bET /${text} HTTP/1.1\r\nHost: a\r\n\r\n`))
  }
  yield* send("/api/livez", { headers: { "x-request-id": "the-last-one" } })
})

const suite = { timeout: "60 seconds", excludeTestServices: true } as const

describe.skipIf(isRemote)("what clients send", () => {
  for (const format of ["json", "pretty"] as const) {
    layer(ownService({ LOG_FORMAT: format, LOG_LEVEL: "debug", CLIENT_IP_HEADER: "x-forwarded-for" }), suite)(
      `in a log as ${format}`,
      (it) => {
        it.effect("makes no line of its own, moves no cursor and shows no key", () =>
          Effect.gen(function* () {
            const { process } = yield* Control
            yield* attack
            const log = yield* eventually(
              Effect.sync(() => process.log()),
              (text) => text.includes("the-last-one")
            )
            // eslint-disable-next-line no-control-regex -- they are what is looked for
            assert.notMatch(log, /[\u0000-\u0009\u000b-\u001a\u001c-\u001f\u007f-\u009f]/)
            for (const order of ["\u001b[2J", "\u001b[31mFORGED", "\u001b]0", "\u202e", "\u2028"])
              assert.notInclude(log, order)
            assert.notInclude(log, API_KEY)
            const lines = log.split("\n").filter((line) => line !== "")
            assert.isAbove(lines.length, injections.length)
            for (const line of lines) {
              if (format === "pretty") {
                assert.notMatch(line, /^\{.*FORGED/, line)
                continue
              }
              const record = JSON.parse(line) as { readonly message: unknown; readonly level: unknown }
              assert.notStrictEqual(record.message, "FORGED")
              assert.notStrictEqual(record.level, "error", line)
              assert.notInclude(line, "\u001b")
            }
          })
        )
      }
    )
  }
})
