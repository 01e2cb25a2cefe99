import { randomUUID } from "node:crypto"
import { connect } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { eventually } from "../support/db/eventually.ts"
import { dataFolder, startOwner, UsedData } from "../support/db/owners.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { agentPath, newAgent } from "../support/service/agents.ts"
import { type Answer, type Options, outcomeOf, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { parseExposition } from "../support/service/exposition.ts"
import { API_KEY, awaitReady, isRemote, spawnService, sqlOn, startOn } from "../support/service/Service.ts"

const clientOf = (url: string) => {
  const send = (path: string, options: Options = {}) => sendTo({ url, apiKey: API_KEY }, path, options)
  return {
    send,
    outcome: (path: string, options: Options = {}) => Effect.map(send(path, options), outcomeOf),
    ingest: (body: unknown) => send("/api/events", { body, key: true }),
    /** Waits until the probe says so. */
    ready: (status: number, reason?: string) =>
      eventually(
        send("/api/readyz"),
        (answer) => answer.status === status && answer.json()["reason"] === reason
      )
  }
}

/** Enrols and registers a new agent; its AID. */
const joinThrough = Effect.fnUntraced(function* (send: ReturnType<typeof clientOf>["send"]) {
  const minted = mintManifest(newAgent())
  const { token } = (yield* send("/api/registry/enroll", { body: minted.text })).json<{ token: string }>()
  const headers = { authorization: `Bearer ${token}` }
  const registered = yield* send("/api/registry/agents", { body: minted.text, headers })
  assert.strictEqual(registered.status, 201, registered.text)
  return minted.manifest.aid
})

describe.skipIf(isRemote)("a database that goes away", () => {
  layer(UsedData.layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect(
      "makes the service not ready but alive, and it recovers without a restart",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const folder = yield* (yield* UsedData).copy
            const first = yield* startOwner(folder)
            const { url: databaseUrl } = yield* first.started
            const { service, url } = yield* startOn(databaseUrl)
            const { ingest, outcome, ready, send } = clientOf(url)
            const aid = yield* joinThrough(send)
            const runId = randomUUID()
            assert.strictEqual((yield* ingest([{ type: "before", runId }])).status, 200)

            yield* first.kill("SIGTERM")
            yield* first.ended
            const notReady = yield* ready(503, "database_unavailable")
            assert.hasAllKeys(notReady.json(), ["ready", "reason", "error"])
            assert.strictEqual((yield* send("/api/livez")).status, 200)
            const health = yield* send("/api/health")
            assert.strictEqual(health.status, 503)
            assert.deepInclude(health.json<object>(), {
              ok: false,
              db: "error",
              service: "aitp-control-plane"
            })
            assert.hasAllKeys(health.json(), ["ok", "service", "aid", "db", "version", "uptimeSeconds"])
            const document = yield* send("/api/health", { headers: { accept: "application/health+json" } })
            assert.deepInclude(document.json<object>(), { status: "fail" })

            for (const [path, options] of [
              ["/api/events", { body: [{ type: "during", runId }], key: true }],
              ["/api/events/history", { key: true }],
              ["/api/registry/agents", {}],
              [agentPath(aid), {}],
              [agentPath(aid), { method: "DELETE", key: true }],
              [agentPath(aid, "/export?format=jsonl"), { key: true }]
            ] as const) {
              const answer = yield* send(path, options)
              assertRefused(answer, 503, "UNAVAILABLE")
              assert.strictEqual(answer.headers["retry-after"], "2")
            }
            // what needs no database is judged as always
            assert.strictEqual(yield* outcome("/api/events", { body: "{", key: true }), "400 BODY_INVALID")
            assert.strictEqual(yield* outcome("/api/events", { body: "[]" }), "401 INVALID_API_KEY")
            assert.strictEqual(yield* outcome("/api/events", { body: "[]", key: true }), "200 ok")
            assert.strictEqual((yield* send("/.well-known/aitp-manifest")).status, 200)
            const minted = mintManifest(newAgent())
            const enrolled = yield* send("/api/registry/enroll", { body: minted.text })
            assert.strictEqual(enrolled.status, 200)
            const metrics = yield* send("/api/metrics")
            assert.strictEqual(metrics.status, 200)
            const { remarks, samples } = parseExposition(metrics.text)
            assert.strictEqual(samples.find(({ name }) => name === "aitp_control_plane_db_up")?.value, 0)
            assert.isUndefined(samples.find(({ name }) => name === "aitp_control_plane_agents_active"))
            assert.isAbove(remarks.length, 0)

            const second = yield* startOwner(folder)
            const again = yield* second.started
            assert.strictEqual(again.url, databaseUrl)
            yield* ready(200)
            assert.strictEqual((yield* ingest([{ type: "after", runId }])).status, 200)
            const { events } = (yield* send(`/api/events/history?run_id=${runId}&order=asc`, {
              key: true
            })).json<{
              events: ReadonlyArray<{ type: string; seq: number }>
            }>()
            assert.deepEqual(
              events.map(({ type }) => type),
              ["before", "after"]
            )
            assert.strictEqual((yield* send(agentPath(aid))).status, 200)
            // the token of the outage is good
            const { token } = enrolled.json<{ token: string }>()
            const headers = { authorization: `Bearer ${token}` }
            assert.strictEqual(
              yield* outcome("/api/registry/agents", { body: minted.text, headers }),
              "201 ok"
            )
            assert.notInclude(service.log(), new URL(databaseUrl).password)
            yield* second.kill("SIGTERM")
            yield* second.ended
          })
        ),
      60_000
    )

    it.effect(
      "crashes in the middle of ingest: every acknowledged event is kept and none is stored twice",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const folder = yield* (yield* UsedData).copy
            const first = yield* startOwner(folder)
            const { pid, url: databaseUrl } = yield* first.started
            const { url } = yield* startOn(databaseUrl)
            const { ingest, ready, send } = clientOf(url)
            const runId = randomUUID()
            const acknowledged = new Set<string>()
            const sent = new Set<string>()
            const enough = yield* Deferred.make<void>()
            const reporter = Effect.gen(function* () {
              const ids = Array.from({ length: 5 }, () => randomUUID())
              for (const id of ids) sent.add(id)
              const answer = yield* ingest(ids.map((id) => ({ id, type: "n", runId })))
              assert.include([200, 503], answer.status, answer.text)
              if (answer.status !== 200) return yield* Effect.sleep("20 millis")
              for (const id of ids) acknowledged.add(id)
              if (acknowledged.size >= 200) yield* Deferred.succeed(enough, undefined)
            })
            const reporters = yield* Effect.forkScoped(
              Effect.forEach(Array.from({ length: 8 }), () => Effect.forever(reporter), { concurrency: 8 })
            )
            yield* Deferred.await(enough)
            process.kill(pid, "SIGKILL") // the postmaster; its owner starts another one
            const before = acknowledged.size
            yield* eventually(
              Effect.sync(() => acknowledged.size),
              (size) => size > before + 100
            )
            yield* Fiber.interrupt(reporters)
            yield* ready(200)
            const sql = yield* sqlOn(databaseUrl)
            const rows = yield* sql<{
              id: string
              seq: string
            }>`select id, seq from audit_events where run_id = ${runId} order by seq`
            const stored = rows.map(({ id }) => id)
            assert.strictEqual(new Set(stored).size, stored.length, "stored twice")
            assert.includeMembers(stored, [...acknowledged], "lost")
            assert.includeMembers([...sent], stored)
            assert.strictEqual(Number(rows.at(-1)?.seq) - Number(rows[0]?.seq) + 1, rows.length, "a hole")
            assert.strictEqual((yield* send("/api/readyz")).status, 200)
            yield* first.kill("SIGTERM")
            yield* first.ended
          })
        ),
      60_000
    )

    it.effect(
      "was never there at start: the service waits, says so, and becomes ready when it appears",
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const folder = yield* (yield* UsedData).copy
            const first = yield* startOwner(folder)
            const { url: databaseUrl } = yield* first.started
            yield* first.kill("SIGTERM")
            yield* first.ended

            const service = yield* spawnService({ DATABASE_URL: databaseUrl })
            const { outcome, ready, send } = clientOf(yield* service.listening)
            yield* ready(503, "database_unavailable")
            assert.strictEqual((yield* send("/api/livez")).status, 200)
            assert.strictEqual((yield* send("/openapi.json")).status, 200)
            assert.deepInclude((yield* send("/api/health")).json<object>(), {
              ok: false,
              db: "error",
              aid: null
            })
            assertRefused(yield* send("/api/registry/agents"), 503, "UNAVAILABLE")
            assertRefused(yield* send("/.well-known/aitp-manifest"), 503, "UNAVAILABLE")
            assert.strictEqual(yield* outcome("/api/events/history"), "401 INVALID_API_KEY")
            assert.strictEqual(yield* outcome("/api/nothing", { key: true }), "404 NOT_FOUND")
            yield* eventually(
              Effect.sync(() => service.log()),
              (log) => /database/i.test(log) && log.includes("127.0.0.1")
            )
            assert.notInclude(service.log(), new URL(databaseUrl).password)

            const second = yield* startOwner(folder)
            yield* second.started
            yield* ready(200)
            assert.strictEqual(yield* outcome("/api/events", { body: [{ type: "a" }], key: true }), "200 ok")
            yield* second.kill("SIGTERM")
            yield* second.ended
          })
        ),
      60_000
    )
  })
})

describe.skipIf(isRemote)("a service that is killed", () => {
  it.live(
    "in the middle of ingest keeps every acknowledged event exactly once, five times over",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const runId = randomUUID()
          const acknowledged = new Set<string>()
          const retried: Array<ReadonlyArray<string>> = []
          for (let kill = 0; kill < 5; kill += 1) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const { service, url } = yield* startOn(databaseUrl)
                const { ingest } = clientOf(url)
                const report = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
                  const answer = yield* Effect.option(ingest(ids.map((id) => ({ id, type: "n", runId }))))
                  if (answer._tag === "Some" && answer.value.status === 200)
                    for (const id of ids) acknowledged.add(id)
                  else retried.push(ids)
                })
                // what was in doubt at the last kill is sent again, as a reporter does
                for (const ids of retried.splice(0)) yield* report(ids)
                const target = acknowledged.size + 60 + 40 * kill
                const killed = yield* Deferred.make<void>()
                const reporter = Effect.gen(function* () {
                  while (!(yield* Deferred.isDone(killed))) {
                    yield* report(Array.from({ length: 4 }, () => randomUUID()))
                    if (acknowledged.size >= target) yield* Deferred.succeed(killed, undefined)
                  }
                })
                const reporters = yield* Effect.forkChild(
                  Effect.forEach(Array.from({ length: 8 }), () => reporter, { concurrency: 8, discard: true })
                )
                yield* Deferred.await(killed)
                const { signal } = yield* service.kill
                assert.strictEqual(signal, "SIGKILL")
                yield* Fiber.join(reporters)
              })
            )
          }
          const { service, url } = yield* startOn(databaseUrl)
          const { ingest, send } = clientOf(url)
          for (const ids of retried.splice(0)) {
            assert.strictEqual((yield* ingest(ids.map((id) => ({ id, type: "n", runId })))).status, 200)
            for (const id of ids) acknowledged.add(id)
          }
          const found: Array<string> = []
          for (let cursor = ""; ;) {
            const page = (yield* send(`/api/events/history?run_id=${runId}&limit=1000&cursor=${cursor}`, {
              key: true
            })).json<{
              events: ReadonlyArray<{ id: string }>
              nextCursor: string | null
            }>()
            found.push(...page.events.map(({ id }) => id))
            if (page.nextCursor === null) break
            cursor = page.nextCursor
          }
          assert.strictEqual(new Set(found).size, found.length, "stored twice")
          assert.deepEqual(found.toSorted(), [...acknowledged].toSorted())
          const sql = yield* sqlOn(databaseUrl)
          const [head] = yield* sql<{ n: number; head: number }>`
          select (select count(*) from audit_events)::int as n, (select max(seq) from log_head)::int as head`
          assert.strictEqual(head?.n, head?.head)
          assert.notInclude(service.log(), '"level":"error"')
        })
      ),
    60_000
  )
})

/** A POST of a report on a connection of its own whose body is held back. */
const heldPost = (url: string, body: string) => {
  const { hostname, port } = new URL(url)
  let received = ""
  const socket = connect(Number(port), hostname)
  socket.on("data", (chunk) => (received += chunk.toString("latin1")))
  socket.on("error", () => {})
  const head = `POST /api/events HTTP/1.1\r\nHost: a\r\nAuthorization: ${API_KEY}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(received)))
  return {
    begin: Effect.sync(() => socket.write(head + body.slice(0, 10))),
    finish: Effect.sync(() => socket.write(body.slice(10))),
    answer: Effect.promise(() => closed)
  }
}

describe.skipIf(isRemote)("a service that is told to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`by ${signal} says so, finishes what runs, refuses nothing meanwhile and exits with 0`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const databaseUrl = yield* freshDatabase
          const { service, url } = yield* startOn(databaseUrl)
          const { ingest, ready, send } = clientOf(url)
          const held = heldPost(url, JSON.stringify([{ type: "held" }]))
          yield* held.begin
          // behind it on another connection, so the held one has been read
          assert.strictEqual((yield* ingest([{ type: "before" }])).status, 200)
          yield* service.signal(signal)
          const draining = yield* ready(503, "shutting_down")
          assert.strictEqual(draining.headers["connection"], "close")
          assert.strictEqual((yield* send("/api/health")).status, 200)
          assert.strictEqual((yield* send("/api/livez")).status, 200)
          const during = yield* ingest([{ type: "during" }])
          assert.strictEqual(during.status, 200)
          assert.strictEqual(during.headers["connection"], "close")
          yield* held.finish
          const answer = yield* held.answer
          assert.match(answer, /^HTTP\/1\.1 200 /)
          assert.match(answer, /connection: close/i)
          assert.deepEqual(yield* service.ended, { code: 0, signal: null })
          const sql = yield* sqlOn(databaseUrl)
          const rows = yield* sql<{ type: string }>`select type from audit_events order by seq`
          assert.deepEqual(
            rows.map(({ type }) => type),
            ["before", "during", "held"]
          )
          assert.notInclude(service.log(), '"level":"error"')
        })
      )
    )
  }

  it.live("lasts long enough for a probe to see it, however idle it is, and not much longer", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { service } = yield* startOn(yield* freshDatabase)
        const begun = performance.now()
        assert.deepEqual(yield* service.stop, { code: 0, signal: null })
        const ms = performance.now() - begun
        assert.isAtLeast(ms, 1950)
        assert.isBelow(ms, 4900)
      })
    )
  )

  it.live("ends at once when told twice", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { service, url } = yield* startOn(yield* freshDatabase)
        yield* service.signal("SIGTERM")
        yield* clientOf(url).ready(503, "shutting_down")
        const begun = performance.now()
        yield* service.signal("SIGTERM")
        const { code } = yield* service.ended
        assert.strictEqual(code, 1)
        assert.isBelow(performance.now() - begun, 1000)
      })
    )
  )

  it.live("stops while it is still waiting for its database", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const service = yield* spawnService({ DATABASE_URL: "postgres://postgres@127.0.0.1:1/nowhere" })
        yield* clientOf(yield* service.listening).ready(503, "database_unavailable")
        const { code } = yield* Effect.timeout(service.stop, "15 seconds")
        assert.strictEqual(code, 0)
      })
    )
  )

  it.live("gives up on a request that never ends when the drain is over", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { service, url } = yield* startOn(yield* freshDatabase, { SHUTDOWN_DRAIN_MS: "2500" })
        const held = heldPost(url, JSON.stringify([{ type: "never" }]))
        yield* held.begin
        const { ingest } = clientOf(url)
        yield* ingest([{ type: "a" }])
        const begun = performance.now()
        const { code } = yield* Effect.timeout(service.stop, "15 seconds")
        assert.isBelow(performance.now() - begun, 5000)
        assert.strictEqual(code, 0)
      })
    )
  )
})

describe.skipIf(isRemote)("a service with its own database", () => {
  it.live(
    "keeps data, AID and secrets over a stop and over kill -9",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const folder = yield* dataFolder
          const environment = {
            DATABASE_URL: "",
            CP_AID_SEED_HEX: "",
            ENROLLMENT_SECRET: "",
            EMBEDDED_POSTGRES_DIR: folder
          }
          const minted = mintManifest(newAgent())
          let token = ""
          const seen: Array<{ readonly aid: unknown; readonly epoch: string | undefined }> = []
          let agent = ""
          const life = (
            ending: "stop" | "kill",
            body: (send: ReturnType<typeof clientOf>["send"]) => Effect.Effect<void, Error>
          ) =>
            Effect.gen(function* () {
              const service = yield* spawnService(environment)
              const { ingest, send } = clientOf(yield* awaitReady(service))
              const { aid } = (yield* send("/api/health")).json()
              const reported: Answer = yield* ingest([{ type: "life" }])
              const { position } = reported.json<{ position: string }>()
              seen.push({ aid, epoch: position.split(".")[0] })
              yield* body(send)
              const { code } = yield* service[ending]
              if (ending === "stop") assert.strictEqual(code, 0, service.log())
            })
          yield* life("stop", (send) =>
            Effect.gen(function* () {
              agent = yield* joinThrough(send)
              token = (yield* send("/api/registry/enroll", { body: minted.text })).json<{ token: string }>()
                .token
            })
          )
          yield* life("kill", (send) =>
            Effect.gen(function* () {
              assert.strictEqual((yield* send(agentPath(agent))).status, 200)
              const headers = { authorization: `Bearer ${token}` }
              assert.strictEqual(
                (yield* send("/api/registry/agents", { body: minted.text, headers })).status,
                201
              )
            })
          )
          yield* life("stop", (send) =>
            Effect.gen(function* () {
              assert.strictEqual((yield* send(agentPath(minted.manifest.aid))).status, 200)
              const { events } = (yield* send("/api/events/history?type=life", { key: true })).json<{
                events: ReadonlyArray<unknown>
              }>()
              assert.lengthOf(events, 3)
            })
          )
          assert.strictEqual(new Set(seen.map(({ aid }) => aid)).size, 1)
          assert.strictEqual(new Set(seen.map(({ epoch }) => epoch)).size, 1)
        })
      ),
    90_000
  )
})
