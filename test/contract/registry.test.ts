import { createHash } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import {
  type AgentPage,
  agentPath,
  type AgentRow,
  join,
  joined,
  newAgent,
  nowSecs,
  unique
} from "../support/service/agents.ts"
import { type Answer, outcome, read, send } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { type EventPage, ingest } from "../support/service/events.ts"
import { anyService, Control, isRemote, ownService } from "../support/service/Service.ts"

const AGENTS = "/api/registry/agents"

const list = (query: Readonly<Record<string, string>>) =>
  read<AgentPage>(`${AGENTS}?${new URLSearchParams(query).toString()}`)

const aidsOf = ({ agents }: AgentPage) => agents.map(({ aid }) => aid)

const digestOf = (bytes: Buffer) => `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("discovery", (it) => {
  it.effect("shows exactly the promised members, with the manifest only on request", () =>
    Effect.gen(function* () {
      const capability = unique("cap")
      const { aid, minted } = yield* joined(
        { display_name: "Ada", offered_capabilities: [capability, "demo.echo"] },
        "n"
      )
      const [agent] = (yield* list({ capability })).agents
      const {
        lastEnrolledAt,
        manifestExpiresAt,
        manifestSha256,
        publishedAt,
        registeredAt,
        verifiedAt,
        ...rest
      } = {
        ...(agent as object)
      } as Record<string, unknown>
      assert.deepEqual(rest, {
        aid,
        displayName: "Ada",
        handshakeEndpoint: "https://agent.example.com/aitp/handshake",
        handshake_endpoint: "https://agent.example.com/aitp/handshake",
        offeredCaps: [capability, "demo.echo"],
        status: "active",
        namespace: "n",
        lastSeenAt: null,
        manifestUrl: agentPath(aid, "/manifest"),
        agentManifestHint: "https://agent.example.com/.well-known/aitp-manifest",
        verified: true,
        conformanceFindings: []
      })
      for (const instant of [lastEnrolledAt, manifestExpiresAt, publishedAt, registeredAt, verifiedAt]) {
        assert.match(String(instant), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      }
      assert.match(String(manifestSha256), /^[0-9a-f]{64}$/)
      const [withManifest] = (yield* list({ capability, include_manifest: "true" })).agents
      assert.strictEqual(withManifest?.manifestJson, minted.text)
      for (const value of ["TRUE", "1", "yes"]) {
        assert.notProperty((yield* list({ capability, include_manifest: value })).agents[0], "manifestJson")
      }
    })
  )

  it.effect("finds by capability, name in both spellings, namespace and AID, and nothing else", () =>
    Effect.gen(function* () {
      const [capability, name, namespace] = [unique("cap"), unique("Name"), unique("space")]
      const { aid } = yield* joined({ display_name: name, offered_capabilities: [capability] }, namespace)
      const { aid: other } = yield* joined(
        { offered_capabilities: [`${capability}.more`] },
        `${namespace}.more`
      )
      for (const query of [
        { capability },
        { displayName: name },
        { display_name: name },
        { namespace },
        { aid }
      ]) {
        assert.deepEqual(aidsOf(yield* list(query)), [aid], JSON.stringify(query))
      }
      assert.deepEqual(aidsOf(yield* list({ capability, namespace, aid, displayName: name })), [aid])
      assert.deepEqual(aidsOf(yield* list({ capability, aid: other })), [])
      assert.deepEqual(aidsOf(yield* list({ display_name: name, displayName: "ignored" })), [aid])
      assert.deepEqual(aidsOf(yield* list({ display_name: "", displayName: name })), [aid])
      assert.deepEqual(aidsOf(yield* list({ displayName: name.toLowerCase() })), [])
      assert.deepEqual(aidsOf(yield* list({ capability: capability.slice(0, -1) })), [])
      assert.deepEqual(aidsOf(yield* list({ aid: "not an aid" })), [])
      // an empty value is no filter, an unknown parameter is ignored
      assert.include(aidsOf(yield* list({ namespace, capability: "", colour: "red" })), aid)
    })
  )

  it.effect("finds an agent under the other spelling of its AID on every route", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      const other = aid.replace("aid:pubkey:", "aid:pubkey:ed25519:")
      assert.deepEqual(aidsOf(yield* list({ aid: other })), [aid])
      assert.strictEqual((yield* read<AgentRow>(agentPath(other))).aid, aid)
      assert.strictEqual((yield* send(agentPath(other, "/manifest"))).status, 200)
      assert.strictEqual((yield* send(agentPath(other, "/export"), { key: true })).status, 200)
      const gone = yield* send(agentPath(other), { method: "DELETE", key: true })
      assert.deepEqual(gone.json(), { aid, status: "deregistered" })
    })
  )

  it.effect("keeps deregistered agents out of the default list and finds them by status", () =>
    Effect.gen(function* () {
      const namespace = unique("space")
      const { aid: active } = yield* joined({}, namespace)
      const { aid: gone } = yield* joined({}, namespace)
      yield* send(agentPath(gone), { method: "DELETE", key: true })
      assert.deepEqual(aidsOf(yield* list({ namespace })), [active])
      assert.deepEqual(aidsOf(yield* list({ namespace, status: "active" })), [active])
      assert.deepEqual(aidsOf(yield* list({ namespace, status: "deregistered" })), [gone])
      assert.deepEqual(aidsOf(yield* list({ namespace, status: "expired" })), [])
      assert.deepEqual(aidsOf(yield* list({ namespace, status: "all" })), [active, gone])
    })
  )

  it.effect("clamps the limit and counts what the page holds", () =>
    Effect.gen(function* () {
      const namespace = unique("space")
      for (let i = 0; i < 3; i += 1) yield* joined({}, namespace)
      for (const [limit, count] of [
        ["0", 1],
        ["-5", 1],
        ["1.9", 1],
        ["2", 2],
        ["", 3],
        ["x", 3],
        ["1000000", 3]
      ] as const) {
        const page = yield* list({ namespace, limit })
        assert.strictEqual(page.count, count, `limit=${limit}`)
        assert.strictEqual(page.agents.length, count)
        assert.strictEqual(page.nextCursor === null, count === 3)
      }
      assert.strictEqual((yield* list({ namespace, offset: "2" })).count, 1)
      for (const offset of ["-1", "1.5", "x", ""])
        assert.strictEqual((yield* list({ namespace, offset })).count, 3)
      assertRefused(yield* send(`${AGENTS}?offset=100001`), 400, "BAD_REQUEST")
      assert.strictEqual(yield* outcome(`${AGENTS}?offset=100000`), "200 ok")
    })
  )

  it.effect(
    "walks all pages by cursor and by Link without skipping or repeating, while agents are added",
    () =>
      Effect.gen(function* () {
        const namespace = unique("space")
        const before: Array<string> = []
        const joinSome = (count: number) =>
          Effect.forEach(
            Array.from({ length: count }),
            () => Effect.map(joined({}, namespace), ({ aid }) => aid),
            {
              concurrency: 8
            }
          )
        before.push(...(yield* joinSome(11)))
        const seen: Array<string> = []
        let path: string | undefined = `${AGENTS}?namespace=${namespace}&limit=3&offset=0`
        let pages = 0
        while (path !== undefined) {
          const answer: Answer = yield* send(path)
          const page = answer.json<AgentPage>()
          seen.push(...aidsOf(page))
          pages += 1
          if (pages <= 2) yield* joinSome(2)
          const link: unknown = answer.headers["link"]
          assert.strictEqual(link === undefined, page.nextCursor === null)
          if (link === undefined) break
          const [, next]: ReadonlyArray<string> = /^<([^>]+)>; rel="next"$/.exec(String(link)) ?? []
          assert.isDefined(next)
          const target = new URL(next ?? "", "http://x")
          assert.strictEqual(target.searchParams.get("cursor"), page.nextCursor)
          assert.strictEqual(target.searchParams.get("namespace"), namespace)
          path = `${target.pathname}${target.search}`
        }
        assert.isAbove(pages, 4)
        assert.strictEqual(new Set(seen).size, seen.length, "an agent was repeated")
        const all = aidsOf(yield* list({ namespace, limit: "1000" }))
        assert.deepEqual(seen, all, "an agent was skipped or moved")
        assert.includeMembers(seen, before)
      })
  )

  it.effect("orders by first registration, which re-enrolment does not change", () =>
    Effect.gen(function* () {
      const namespace = unique("space")
      const first = yield* joined({ published_at: nowSecs() - 10 }, namespace)
      const second = yield* joined({}, namespace)
      yield* join(mintManifest(first.agent), { "x-aitp-namespace": namespace })
      assert.deepEqual(aidsOf(yield* list({ namespace })), [first.aid, second.aid])
    })
  )

  it.effect("refuses a cursor of another list and of no list", () =>
    Effect.gen(function* () {
      const namespace = unique("space")
      yield* joined({}, namespace)
      yield* joined({}, namespace)
      const { nextCursor } = yield* list({ namespace, limit: "1" })
      const cursor = String(nextCursor)
      assert.strictEqual((yield* list({ namespace, limit: "1", cursor })).count, 1)
      assert.strictEqual((yield* list({ namespace, limit: "5", cursor, offset: "7" })).count, 1)
      for (const query of [
        "",
        `namespace=${namespace}&status=all`,
        "namespace=other",
        `namespace=${namespace}&capability=x`
      ]) {
        assertRefused(yield* send(`${AGENTS}?${query}&cursor=${cursor}`), 400, "CURSOR_INVALID")
      }
      for (const other of ["x", "e30", `${cursor}x`, cursor.slice(1), "=", "a".repeat(3000)]) {
        assertRefused(yield* send(`${AGENTS}?namespace=${namespace}&cursor=${other}`), 400, "CURSOR_INVALID")
      }
      const foreign = (yield* read<EventPage>("/api/events/history?limit=1")).nextCursor
      assertRefused(yield* send(`${AGENTS}?cursor=${foreign}`), 400, "CURSOR_INVALID")
      assertRefused(yield* send(`/api/events/history?cursor=${cursor}`, { key: true }), 400, "CURSOR_INVALID")
    })
  )

  it.effect("refuses NUL in a filter", () =>
    Effect.gen(function* () {
      for (const name of ["capability", "aid", "namespace", "displayName"]) {
        assertRefused(yield* send(`${AGENTS}?${name}=a%00b`), 400, "BAD_REQUEST")
      }
    })
  )
})

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("an agent", (it) => {
  it.effect("is shown bare, with a tag that changes with the record and with nothing else", () =>
    Effect.gen(function* () {
      const { agent, aid } = yield* joined({ published_at: nowSecs() - 10 })
      const answer = yield* send(agentPath(aid))
      assert.strictEqual(answer.headers["cache-control"], "public, max-age=30")
      assert.strictEqual(answer.headers["content-type"], "application/json")
      const etag = String(answer.headers["etag"])
      assert.match(etag, /^"[^"]+"$/)
      assert.strictEqual((yield* send(agentPath(aid))).headers["etag"], etag)
      for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
        const cached = yield* send(agentPath(aid), { headers: { "if-none-match": tag } })
        assert.strictEqual(cached.status, 304, tag)
        assert.strictEqual(cached.text, "")
        assert.strictEqual(cached.headers["etag"], etag)
      }
      assert.strictEqual(
        (yield* send(agentPath(aid), { headers: { "if-none-match": '"other"' } })).status,
        200
      )
      yield* join(mintManifest(agent))
      const changed = yield* send(agentPath(aid), { headers: { "if-none-match": etag } })
      assert.strictEqual(changed.status, 200)
      assert.notStrictEqual(changed.headers["etag"], etag)
    })
  )

  it.effect("has the same members as in the list", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      assert.deepEqual(yield* read<AgentRow>(agentPath(aid)), (yield* list({ aid })).agents[0] as AgentRow)
    })
  )

  it.effect("is 404 when it is unknown or no AID at all", () =>
    Effect.gen(function* () {
      for (const aid of [newAgent().aid, "x", "undefined", "aid:pubkey:"]) {
        for (const suffix of ["", "/manifest"])
          assertRefused(yield* send(agentPath(aid, suffix)), 404, "NOT_FOUND")
        assertRefused(yield* send(agentPath(aid, "/export"), { key: true }), 404, "NOT_FOUND")
        assertRefused(yield* send(agentPath(aid), { method: "DELETE", key: true }), 404, "NOT_FOUND")
      }
    })
  )

  it.effect("has its manifest served byte for byte, with digest and tag", () =>
    Effect.gen(function* () {
      const minted = mintManifest(newAgent(), {
        display_name: "Zoë\u2028💡",
        extensions: { x: "y".repeat(2000), n: 1.5 }
      })
      const text = `\n ${JSON.stringify(JSON.parse(minted.text), null, "\t")} \r\n`
      yield* join({ text })
      const answer = yield* send(agentPath(minted.manifest.aid, "/manifest"))
      assert.deepEqual(answer.bytes, Buffer.from(text))
      assert.strictEqual(answer.headers["content-type"], "application/json")
      assert.strictEqual(answer.headers["cache-control"], "max-age=60")
      assert.strictEqual(answer.headers["content-digest"], digestOf(answer.bytes))
      const headers = { "if-none-match": String(answer.headers["etag"]) }
      assert.strictEqual((yield* send(agentPath(minted.manifest.aid, "/manifest"), { headers })).status, 304)
    })
  )

  it.effect("that was deregistered gives its manifest to keys alone", () =>
    Effect.gen(function* () {
      const { aid, minted } = yield* joined()
      yield* send(agentPath(aid), { method: "DELETE", key: true })
      const path = agentPath(aid, "/manifest")
      assertRefused(yield* send(path), 410, "AGENT_NOT_ACTIVE", { status: "deregistered" })
      const wrong = yield* send(path, { headers: { authorization: "Bearer wrong" } })
      assertRefused(wrong, 410, "AGENT_NOT_ACTIVE", { status: "deregistered" })
      const answer = yield* send(path, { key: true })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.text, minted.text)
      assert.strictEqual(answer.headers["aitp-agent-status"], "deregistered")
      assert.strictEqual(answer.headers["cache-control"], "no-store")
      assert.strictEqual((yield* read<AgentRow>(agentPath(aid))).status, "deregistered")
    })
  )

  it.effect("is deregistered with 200 each time and announced once", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined({ display_name: "Ada" }, "team")
      for (let i = 0; i < 3; i += 1) {
        const answer = yield* send(agentPath(aid), { method: "DELETE", key: true })
        assert.strictEqual(answer.status, 200)
        assert.deepEqual(answer.json(), { aid, status: "deregistered" })
      }
      const { events } = yield* read<EventPage>(
        `/api/events/history?aid=${encodeURIComponent(aid)}&type=agent.deregistered`
      )
      assert.lengthOf(events, 1)
      assert.deepInclude(events[0], { aidA: aid, aidB: null, source: "cp", namespace: "team" })
      assert.deepEqual(events[0]?.payload, {
        reason: "admin_deregister",
        displayName: "Ada",
        namespace: "team"
      })
      // a body is no reason to refuse
      const headers = { "content-type": "application/json" }
      assert.strictEqual(
        yield* outcome(agentPath(aid), { method: "DELETE", key: true, headers, body: "{}" }),
        "200 ok"
      )
    })
  )

  it.effect("is announced once however many deregister it at the same time", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      const answers = yield* Effect.forEach(
        Array.from({ length: 16 }),
        () => send(agentPath(aid), { method: "DELETE", key: true }),
        { concurrency: 16 }
      )
      for (const answer of answers) assert.deepEqual(answer.json(), { aid, status: "deregistered" })
      const { count } = yield* read<EventPage>(
        `/api/events/history?aid=${encodeURIComponent(aid)}&type=agent.deregistered`
      )
      assert.strictEqual(count, 1)
    })
  )

  it.effect("is exported whole as JSON, with a digest", () =>
    Effect.gen(function* () {
      const { aid, minted } = yield* joined({}, "team")
      yield* ingest([
        { type: "one", aidA: aid, ts: "2026-01-01T00:00:00Z" },
        { type: "two", aidB: aid, ts: "2026-01-02T00:00:00Z" },
        { type: "other", aidA: "someone else" }
      ])
      const answer = yield* send(agentPath(aid, "/export"), { key: true })
      assert.strictEqual(answer.headers["content-type"], "application/json")
      assert.strictEqual(answer.headers["content-digest"], digestOf(answer.bytes))
      const document = answer.json<{
        agent: AgentRow & Record<string, unknown>
        events: EventPage["events"]
      }>()
      assert.containsAllKeys(document, ["agent", "sessions", "tcts", "events", "exportedAt"])
      assert.deepInclude(document.agent, {
        aid,
        manifestJson: minted.text,
        status: "active",
        namespace: "team"
      })
      assert.containsAllKeys(document.agent, [
        "displayName",
        "handshakeEndpoint",
        "offeredCaps",
        "manifestExpiresAt",
        "registeredAt",
        "lastEnrolledAt",
        "lastSeenAt",
        "org",
        "cloud",
        "metadata",
        "deregisteredAt"
      ])
      assert.deepEqual(
        document.events.map(({ type }) => type),
        ["agent.registered", "two", "one"]
      )
      const one = yield* read<{ events: EventPage["events"] }>(agentPath(aid, "/export?eventLimit=1"))
      assert.lengthOf(one.events, 1)
      assert.strictEqual(yield* outcome(agentPath(aid, "/export")), "401 INVALID_API_KEY")
      assert.strictEqual(yield* outcome(agentPath(aid, "/export?format=xml"), { key: true }), "200 ok")
    })
  )

  it.effect("is exported line by line, every record whole and in order, beyond one page of events", () =>
    Effect.gen(function* () {
      const { aid } = yield* joined()
      for (let batch = 0; batch < 3; batch += 1) {
        yield* ingest(
          Array.from({ length: 400 }, (_, i) => ({
            type: "n",
            aidA: aid,
            ts: 1_700_000_000 + (i % 7),
            payload: { n: batch * 400 + i }
          }))
        )
      }
      const answer = yield* send(agentPath(aid, "/export?format=jsonl&eventLimit=10000"), { key: true })
      assert.strictEqual(answer.headers["content-type"], "application/x-ndjson")
      assert.strictEqual(
        answer.headers["content-disposition"],
        `attachment; filename="agent-${encodeURIComponent(aid)}.jsonl"`
      )
      assert.isTrue(answer.text.endsWith("\n"))
      const lines = answer.text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { kind: string; record: { id: string } })
      assert.isTrue(lines.every((line) => Object.keys(line).join() === "kind,record"))
      const kinds = lines.map(({ kind }) => kind)
      assert.strictEqual(kinds[0], "agent")
      const order = ["agent", "session", "tct", "event"]
      assert.deepEqual(
        kinds,
        kinds.toSorted((a, b) => order.indexOf(a) - order.indexOf(b))
      )
      const ids = lines.filter(({ kind }) => kind === "event").map(({ record }) => record.id)
      assert.lengthOf(ids, 1201)
      assert.strictEqual(new Set(ids).size, 1201)
    })
  )
})

describe.skipIf(isRemote)("an expired agent", () => {
  layer(ownService({ EXPIRY_SWEEP_INTERVAL_MS: "100" }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })((it) => {
    it.effect(
      "leaves discovery at once, is announced once by the sweep, and comes back by enrolling again",
      () =>
        Effect.gen(function* () {
          const { sql } = yield* Control
          const namespace = unique("space")
          const { agent, aid } = yield* joined({ published_at: nowSecs() - 100 }, namespace)
          const { aid: alive } = yield* joined({}, namespace)
          yield* sql`update agents set manifest_expires_at = now() - interval '1 second' where aid = ${aid}`
          assert.deepEqual(aidsOf(yield* list({ namespace })), [alive])
          assert.deepEqual(aidsOf(yield* list({ namespace, status: "expired" })), [aid])
          assertRefused(yield* send(agentPath(aid, "/manifest")), 410, "AGENT_NOT_ACTIVE", {
            status: "expired"
          })
          const kept = yield* send(agentPath(aid, "/manifest"), { key: true })
          assert.strictEqual(kept.headers["aitp-agent-status"], "expired")
          const path = `/api/events/history?type=agent.expired&aid=${encodeURIComponent(aid)}`
          yield* Effect.repeat(read<EventPage>(path), { until: ({ count }) => count > 0 }).pipe(
            Effect.timeout("20 seconds")
          )
          const { events } = yield* read<EventPage>(path)
          assert.lengthOf(events, 1)
          assert.deepInclude(events[0]?.payload, { namespace, reason: "manifest_expired" })
          yield* join(mintManifest(agent), { "x-aitp-namespace": namespace })
          assert.deepEqual(aidsOf(yield* list({ namespace })), [aid, alive])
        })
    )

    it.effect("whose stored manifest was changed is announced, audited, and withheld everywhere", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { aid } = yield* joined()
        yield* sql`update agents set manifest_json = replace(manifest_json, 'demo', 'evil') where aid = ${aid}`
        const path = `/api/events/history?type=agent.integrity_failed&aid=${encodeURIComponent(aid)}`
        yield* Effect.repeat(read<EventPage>(path), { until: ({ count }) => count > 0 }).pipe(
          Effect.timeout("20 seconds")
        )
        const { events } = yield* read<EventPage>(path)
        assert.deepEqual(
          events.map(({ payload, source }) => ({ payload, source })),
          [{ payload: { reason: "signature_invalid" }, source: "cp" }]
        )
        const audit = `/api/audit?action=agent.integrity&targetId=${encodeURIComponent(aid)}`
        const { entries } = yield* read<{ readonly entries: ReadonlyArray<object> }>(audit)
        assert.lengthOf(entries, 1)
        assert.deepInclude(entries[0], { actorId: "system", details: { reason: "signature_invalid" } })
        const metrics = (yield* send("/api/metrics")).text
        assert.match(metrics, /^aitp_control_plane_agents_integrity_failed 1$/m)
        assert.deepEqual(aidsOf(yield* list({ aid, status: "all" })), [])
        for (const suffix of ["", "/manifest", "/export"]) {
          assert.strictEqual(yield* outcome(agentPath(aid, suffix), { key: true }), "404 NOT_FOUND")
        }
      })
    )
  })
})
