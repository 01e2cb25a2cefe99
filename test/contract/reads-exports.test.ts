import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { type IncomingMessage, request } from "node:http"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { agentPath, joined } from "../support/service/agents.ts"
import { outcome, read, send } from "../support/service/client.ts"
import { ingest } from "../support/service/events.ts"
import { Control, isRemote, ownService, Service } from "../support/service/Service.ts"

type Row = Readonly<Record<string, unknown>>

const keysOf = (row: unknown) =>
  Object.keys(row as Row)
    .toSorted()
    .join(" ")

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly kind: string; readonly record: Row })

/** A running answer, not read from until the test does. */
const open = (path: string) =>
  Effect.flatMap(Service, ({ apiKey, url }) =>
    Effect.acquireRelease(
      Effect.callback<IncomingMessage>((resume) => {
        const headers = { authorization: `Bearer ${apiKey}` }
        request(`${url}${path}`, { headers, agent: false }, (response) =>
          resume(Effect.succeed(response))
        ).end()
      }),
      (response) => Effect.sync(() => response.destroy())
    )
  )

const megabytesOf = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

describe.skipIf(isRemote)("exports and dashboard", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("exports an agent with its sessions, TCTs and events", () =>
      Effect.gen(function* () {
        const { aid } = yield* joined()
        const peer = `peer-${randomUUID()}`
        const sessions = Array.from({ length: 3 }, (_, n) => `s${n}-${randomUUID()}`)
        for (const [n, sessionId] of sessions.entries()) {
          const [aidA, aidB] = n === 1 ? [peer, aid] : [aid, peer]
          yield* ingest([{ type: "handshake.started", ts: 1_700_000_000 + n, sessionId, aidA, aidB }])
        }
        const jtis = [randomUUID(), randomUUID()]
        yield* ingest(
          jtis.map((jti, n) => ({
            type: "tct.issued",
            ts: 1_700_000_010 + n,
            payload: { tct: n === 0 ? { jti, iss: aid, sub: peer } : { jti, iss: peer, sub: aid } }
          }))
        )
        const document = yield* send(`${agentPath(aid)}/export`, { key: true })
        const body = document.json<Record<string, ReadonlyArray<Row>>>()
        assert.strictEqual(keysOf(body), "agent events exportedAt sessions tcts")
        assert.deepEqual(
          body["sessions"]?.map(({ sessionId }) => sessionId),
          sessions.toReversed()
        )
        assert.deepEqual(
          body["tcts"]?.map(({ jti }) => jti),
          jtis.toReversed()
        )
        const [tct] = body["tcts"] ?? []
        assert.deepEqual([tct?.["issuerAid"], tct?.["subjectAid"], tct?.["audienceAid"]], [peer, aid, aid])

        const lines = linesOf((yield* send(`${agentPath(aid)}/export?format=jsonl`, { key: true })).text)
        assert.deepEqual(
          lines.map(({ kind }) => kind).filter((kind, n, all) => kind !== all[n - 1]),
          ["agent", "session", "tct", "event"]
        )
        const recordsOf = (wanted: string) =>
          lines.flatMap(({ kind, record }) => (kind === wanted ? [record] : []))
        assert.deepEqual(recordsOf("session"), body["sessions"])
        assert.deepEqual(recordsOf("tct"), body["tcts"])
        assert.deepEqual(recordsOf("event"), body["events"])
      })
    )

    it.effect("gives the dashboard in exactly the documented form, whatever range is asked for", () =>
      Effect.gen(function* () {
        const { aid } = yield* joined()
        yield* ingest([{ type: "handshake.started", sessionId: randomUUID(), aidA: aid }])
        const overview = yield* read<Record<string, Row>>("/api/dashboard/overview")
        assert.strictEqual(keysOf(overview), "charts kpis range recentSessions")
        assert.strictEqual(
          keysOf(overview["kpis"]),
          "activeSessions agentsRegistered capabilityInvocationsInRange handshakesInRange " +
            "handshakesSuccessInRange handshakesTotal pendingWebhookDeliveries"
        )
        assert.strictEqual(
          keysOf(overview["charts"]),
          "handshakesByBoundary handshakesOverTime topCapabilities"
        )
        const [recent] = overview["recentSessions"] as unknown as ReadonlyArray<Row>
        assert.strictEqual(keysOf(recent), "aidA aidB boundary completedAt grants sessionId startedAt status")
        const rangeOf = (query: string) =>
          Effect.map(read(`/api/dashboard/overview?${query}`), ({ range }) => range)
        const asked = ["range=7d", "window=1h", "range=30d&window=1h", "range=2d", "range=", "range=%00"]
        assert.deepEqual(yield* Effect.forEach(asked, rangeOf), ["7d", "1h", "30d", "24h", "24h", "24h"])

        const page = yield* read<{ readonly agents: ReadonlyArray<Row> }>("/api/dashboard/agents")
        assert.strictEqual(keysOf(page), "agents count nextCursor")
        const agent = page.agents.find((each) => each["aid"] === aid)
        assert.strictEqual(
          keysOf(agent),
          "aid capabilityInvocations displayName handshakesAsInitiator handshakesAsResponder lastSeenAt " +
            "registeredAt status"
        )
        assert.strictEqual(agent?.["handshakesAsInitiator"], 1)
        assert.strictEqual(
          yield* outcome("/api/dashboard/agents?cursor=x", { key: true }),
          "400 CURSOR_INVALID"
        )
      })
    )

    it.effect.skipIf(process.platform !== "linux")("does not gather an export for a reader that pauses", () =>
      Effect.gen(function* () {
        const sessionId = `large-${randomUUID()}`
        yield* ingest([{ type: "handshake.started", ts: 1_700_000_000, sessionId }])
        const { process: service, sql } = yield* Control
        // 150 MB that no request could bring in within the time of a test.
        yield* sql`
          insert into audit_events (log_id, seq, id, type, canonical_type, ts, received_at, created_at, session_id,
            payload, source, reported_by, salt, payload_hash, leaf_hash)
          select 1, 1000000 + n, gen_random_uuid(), 'note', 'note', now(), now(), now(), ${sessionId},
            ${`{"text":"${"x".repeat(15_000)}"}`}, 'test', 'test', ${"s"}::bytea, ${"s"}::bytea, ${"s"}::bytea
          from generate_series(1, 10000) as n`
        const path = `/api/sessions/${sessionId}/export?format=jsonl`
        const whole = yield* send(path, { key: true })
        assert.strictEqual(whole.text.trimEnd().split("\n").length, 10_001)
        // By now the process has taken what it takes to serve one.
        const before = megabytesOf(service.pid)
        const response = yield* open(path)
        yield* Effect.sleep("1500 millis") // long enough to read all of it, if it were read
        const paused = megabytesOf(service.pid)
        assert.isBelow(paused - before, 50, `${before} MB grew to ${paused} MB`)
        let received = 0
        yield* Effect.callback<void, Error>((resume) => {
          response.on("data", (chunk: Buffer) => (received += chunk.length))
          response.on("error", (error) => resume(Effect.fail(error)))
          response.on("end", () => resume(Effect.void))
        })
        assert.strictEqual(received, whole.bytes.length)

        // One document holds only so much, and says so.
        const detail = yield* read<{ readonly truncated?: boolean }>(`/api/sessions/${sessionId}`)
        assert.isTrue(detail.truncated)
      }).pipe(Effect.scoped)
    )
  })
})
