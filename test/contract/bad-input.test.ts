import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { agentPath, joined, newAgent, tokenFor } from "../support/service/agents.ts"
import { hostileBodies, hostileIds, hostileValues, mutations } from "../support/service/attacks.ts"
import { type Answer, type Options, raw, send } from "../support/service/client.ts"
import { assertEnvelope } from "../support/service/envelope.ts"
import { ingest } from "../support/service/events.ts"
import { Control, isRemote, ownService } from "../support/service/Service.ts"

/** Rows of every table that a request can write to. */
const rows = Effect.gen(function* () {
  const { sql } = yield* Control
  const [counts] = yield* sql`
    select (select count(*) from agents)::int as agents, (select count(*) from enrollment_jtis)::int as tokens,
      (select count(*) from audit_events)::int as events, (select count(*) from event_ids)::int as ids,
      (select count(*) from admin_audit_log)::int as acts, (select max(seq) from log_head)::int as head`
  return counts
})

/** A refusal in the public form, and never the service's own fault. */
const assertRefusal = (answer: Answer, context: string) => {
  assert.isAtLeast(answer.status, 400, `${context}: ${answer.text.slice(0, 200)}`)
  assert.isBelow(answer.status, 500, `${context}: ${answer.text.slice(0, 200)}`)
  assertEnvelope(answer, context)
}

/** Bodies of reports that are sound and say nothing, so that they are answered with 200. */
const emptyReports = new Set([
  "null",
  "true",
  "a number",
  "a huge number",
  "a number of a thousand digits",
  "a string"
])

const soundReport = JSON.stringify([
  {
    type: "handshake.complete",
    ts: "2026-01-02T03:04:05.678Z",
    sessionId: "s-1",
    aidA: "a",
    aidB: "b",
    grants: ["x"]
  },
  {
    type: "tct.issued",
    ts: 1_700_000_000.25,
    payload: { tct: { jti: "x", claims: {} }, deep: [[{ a: null }]] }
  }
])

describe.skipIf(isRemote)("bad input", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    const unchanged = <E, R>(attack: Effect.Effect<void, E, R>) =>
      Effect.gen(function* () {
        const before = yield* rows
        yield* attack
        assert.deepEqual(yield* rows, before)
        const { process } = yield* Control
        assert.notInclude(process.log(), '"level":"error"')
      })

    /** Sends each body and judges each answer. */
    const attackWith = (
      path: string,
      bodies: ReadonlyArray<readonly [name: string, body: string | Buffer]>,
      options: Options = {},
      judge: (answer: Answer, context: string) => void = assertRefusal
    ) =>
      Effect.forEach(
        bodies,
        ([name, body]) =>
          Effect.map(send(path, { ...options, method: "POST", body }), (answer) =>
            judge(answer, `${path} with ${name}`)
          ),
        { concurrency: 16, discard: true }
      )

    const numbered = (bodies: ReadonlyArray<Buffer>) =>
      bodies.map((body, index) => [`mutation ${index}: ${body.toString("latin1")}`, body] as const)

    it.effect("refuses every hostile body at enrolment and stores nothing", () =>
      unchanged(attackWith("/api/registry/enroll", hostileBodies(mintManifest(newAgent()).text)))
    )

    it.effect("refuses every mutation of an enrolment and stores nothing", () => {
      const { text } = mintManifest(newAgent())
      // a change of white space or of nothing leaves the manifest as it was signed; enrolment writes nothing anyway
      const judge = (answer: Answer, context: string) => {
        if (answer.status !== 200) assertRefusal(answer, context)
      }
      return unchanged(attackWith("/api/registry/enroll", numbered(mutations(text, 200, 1)), {}, judge))
    })

    it.effect("refuses every hostile body at registration and stores nothing", () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent())
        const headers = { authorization: `Bearer ${yield* tokenFor(minted)}` }
        yield* unchanged(attackWith("/api/registry/agents", hostileBodies(minted.text), { headers }))
      })
    )

    it.effect("refuses every mutation of a registration but those of white space", () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent())
        const headers = { authorization: `Bearer ${yield* tokenFor(minted)}` }
        const bodies = numbered(mutations(minted.text, 200, 2)).filter(([, body]) => {
          try {
            return JSON.stringify(JSON.parse(body.toString("utf8"))) !== minted.text
          } catch {
            return true
          }
        })
        yield* unchanged(attackWith("/api/registry/agents", bodies, { headers }))
      })
    )

    it.effect("refuses every hostile registration token and stores nothing", () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent())
        const token = yield* tokenFor(minted)
        const [payload = "", mac = ""] = token.split(".")
        const tokens = [
          "",
          ".",
          "..",
          payload,
          `${payload}.`,
          `.${mac}`,
          `${token}.`,
          `${token}.x`,
          `${payload}=.${mac}`,
          `${payload}.${mac}=`,
          `${payload}.${mac.slice(0, -1)}`,
          `${payload}.${mac.toLowerCase()}`,
          `${Buffer.from("null").toString("base64url")}.${mac}`,
          `${"A".repeat(12_000)}.${mac}`,
          "Bearer",
          "é",
          "\t",
          ...mutations(token, 100, 3).map((each) => each.toString("latin1").replace(/[^\x20-\x7e]/g, "x"))
        ].filter((each) => each !== token)
        yield* unchanged(
          Effect.forEach(
            tokens,
            (each) =>
              Effect.map(
                send("/api/registry/agents", {
                  body: minted.text,
                  headers: { authorization: `Bearer ${each}` }
                }),
                (answer) => {
                  assertRefusal(answer, each)
                  assert.strictEqual(answer.status, 401, each)
                }
              ),
            { concurrency: 16, discard: true }
          )
        )
      })
    )

    it.effect("answers every hostile report with a refusal or as empty, and stores nothing", () => {
      const judge = (answer: Answer, context: string) => {
        const name = context.split(" with ")[1] ?? ""
        if (answer.status !== 200) return assertRefusal(answer, context)
        const { ingested } = answer.json()
        assert.strictEqual(ingested, 0, context)
        if (emptyReports.has(name)) assert.strictEqual(answer.status, 200)
      }
      return unchanged(attackWith("/api/events", hostileBodies(soundReport), { key: true }, judge))
    })

    it.effect("answers every mutation of a report with 200 or a refusal", () =>
      Effect.gen(function* () {
        const judge = (answer: Answer, context: string) => {
          if (answer.status !== 200) assertRefusal(answer, context)
        }
        yield* attackWith("/api/events", numbered(mutations(soundReport, 400, 4)), { key: true }, judge)
        const { process } = yield* Control
        assert.notInclude(process.log(), '"level":"error"')
      })
    )

    it.effect("keeps every item that an event can be made of, whatever its members are", () =>
      Effect.gen(function* () {
        const values = [
          "null",
          "true",
          "0",
          "-0",
          "1e400",
          "-1e400",
          "1e308",
          "9007199254740993",
          '""',
          '"x"',
          '"\\u0000"',
          '"\\ud800"',
          '"\\udc00\\ud800"',
          "[]",
          "{}",
          "[1]",
          '{"a":1}',
          '"2026-01-01"',
          '"not a time"',
          "1e15",
          "-1",
          "253402300800",
          '"\\u2028\\u2029"',
          '"{\\"a\\":1}"',
          '"aid:pubkey:x"',
          '["a",1]',
          '{"__proto__":1}',
          '{"toJSON":1}',
          '"💩"'
        ]
        const names = [
          "type",
          "ts",
          "aidA",
          "aid_a",
          "initiator",
          "aidB",
          "target",
          "sessionId",
          "session_id",
          "runId",
          "playground",
          "grants",
          "payload",
          "source",
          "namespace",
          "id",
          "__proto__",
          "toJSON",
          "constructor",
          "\\u0000",
          "\\ud800"
        ]
        const items = names.flatMap((name) => values.map((value) => `{"${name}":${value},"marker":1}`))
        for (let at = 0; at < items.length; at += 100) {
          const batch = items.slice(at, at + 100)
          const { dropped, ingested } = yield* ingest(`[${batch.join(",")}]`)
          assert.strictEqual(ingested + dropped, batch.length)
          assert.strictEqual(dropped, 0)
        }
        // and all of it can be read back
        const history = yield* send("/api/events/history?limit=1000", { key: true })
        assert.strictEqual(history.status, 200)
        history.json()
        const { process } = yield* Control
        assert.notInclude(process.log(), '"level":"error"')
      })
    )

    const paths = (id: string) => [
      `/api/events/${id}`,
      `/api/registry/agents/${id}`,
      `/api/registry/agents/${id}/manifest`,
      `/api/registry/agents/${id}/export`,
      `/errors/${id}`,
      `/api/${id}`,
      `/.well-known/${id}`
    ]

    for (const method of ["GET", "HEAD", "DELETE", "POST", "PATCH"]) {
      it.effect(`answers ${method} of every odd path with a refusal`, () =>
        unchanged(
          Effect.forEach(
            hostileIds.flatMap(paths),
            (path) =>
              Effect.map(
                send(path, { key: true, method, ...(method === "POST" ? { body: "{}" } : {}) }),
                (answer) => {
                  const context = `${method} ${path.slice(0, 100)}`
                  assert.isAtLeast(answer.status, 400, context)
                  assert.isBelow(answer.status, 500, context)
                  if (method !== "HEAD") assertEnvelope(answer, context)
                }
              ),
            { concurrency: 16, discard: true }
          )
        )
      )
    }

    const queries: Readonly<Record<string, ReadonlyArray<string>>> = {
      "/api/registry/agents": [
        "capability",
        "aid",
        "displayName",
        "display_name",
        "namespace",
        "include_manifest",
        "limit",
        "offset",
        "cursor",
        "status",
        "unknown"
      ],
      "/api/events/history": [
        "type",
        "aid",
        "session_id",
        "sessionId",
        "run_id",
        "runId",
        "since",
        "until",
        "limit",
        "offset",
        "cursor",
        "namespace",
        "source",
        "order"
      ]
    }

    for (const [path, names] of Object.entries(queries)) {
      it.effect(`answers every odd query of ${path} with 200 or a refusal`, () =>
        unchanged(
          Effect.forEach(
            names.flatMap((name) => hostileValues.map((value) => `${path}?${name}=${value}`)),
            (target) =>
              Effect.map(send(target, { key: true }), (answer) => {
                if (answer.status !== 200) assertRefusal(answer, target.slice(0, 120))
                else answer.json()
              }),
            { concurrency: 16, discard: true }
          )
        )
      )
    }

    it.effect("answers every odd query of an export with 200 or a refusal", () =>
      Effect.gen(function* () {
        const { aid } = yield* joined()
        yield* unchanged(
          Effect.forEach(
            ["format", "eventLimit", "event_limit"].flatMap((name) =>
              hostileValues.map((value) => `${name}=${value}`)
            ),
            (query) =>
              Effect.map(send(`${agentPath(aid, "/export")}?${query}`, { key: true }), (answer) => {
                if (answer.status !== 200) assertRefusal(answer, query.slice(0, 120))
                else answer.json()
              }),
            { concurrency: 8, discard: true }
          )
        )
      })
    )

    it.effect("refuses a cursor whose position was tampered with, whatever stands in it", () =>
      Effect.gen(function* () {
        yield* joined()
        yield* joined()
        yield* ingest([{ type: "cursor.a" }, { type: "cursor.b" }])
        const times = [
          "x",
          "",
          "2026",
          "-271821-04-20T00:00:00.000Z",
          "-271821-04-19",
          "0000-01-01T00:00:00.000Z",
          "2026-02-31T00:00:00.000Z",
          "+275760-09-13T00:00:00.001Z",
          "2026-01-01T00:00:00.000Z'",
          "infinity",
          "now",
          17,
          null,
          {},
          [],
          true
        ]
        const seqs = [1.5, -1, 1e300, 9_007_199_254_740_992, "1", null, {}]
        const lists = [
          {
            path: "/api/registry/agents?limit=1",
            time: "registeredAt",
            other: "aid",
            others: [..."\0x", "", 17, null, {}]
          },
          { path: "/api/events/history?limit=1", time: "ts", other: "seq", others: seqs }
        ]
        for (const { other, others, path, time } of lists) {
          const { nextCursor } = (yield* send(path, { key: true })).json<{ nextCursor: string }>()
          const [digest, position] = JSON.parse(Buffer.from(nextCursor, "base64url").toString()) as [
            string,
            object
          ]
          const forged = [
            ...times.map((value) => ({ ...position, [time]: value })),
            ...others.map((value) => ({ ...position, [other]: value }))
          ]
          for (const each of [...forged, null, [], "x", {}]) {
            const cursor = Buffer.from(JSON.stringify([digest, each])).toString("base64url")
            const answer = yield* send(`${path}&cursor=${cursor}`, { key: true })
            const context = `${path} ${JSON.stringify(each)}`
            if (answer.status !== 200) assertRefusal(answer, context)
          }
        }
      })
    )

    it.effect("answers what is no HTTP with 4xx and closes", () =>
      Effect.gen(function* () {
        const garbage = [
          "\r\n\r\nGARBAGE\r\n\r\n",
          "GET / HTTP/9.9\r\n\r\n",
          "GET /api/livez HTTP/1.1\r\nConnection: close\r\n\r\n",
          "GET /api/livez HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
          "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
          "POST /api/events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
          "POST /api/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
          "POST /api/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "POST /api/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
          "POST /api/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
          `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
          `GET /api/livez HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`,
          "GET /api/livez HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
          "GET /api/livez HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
          Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])
        ]
        for (const each of garbage) {
          const received = yield* raw(each)
          assert.match(received, /^HTTP\/1\.1 4\d\d /, JSON.stringify(each.toString("latin1").slice(0, 80)))
          const [head = "", body = ""] = received.split("\r\n\r\n")
          assert.match(head, /x-request-id: /i)
          assert.hasAllKeys(JSON.parse(body), ["error", "code"])
        }
        assert.strictEqual((yield* send("/api/livez")).status, 200)
      })
    )
  })
})
