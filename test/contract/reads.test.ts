import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { outcome, read, send } from "../support/service/client.ts"
import { type EventRow, ingest } from "../support/service/events.ts"
import { anyService } from "../support/service/Service.ts"

type Row = Readonly<Record<string, unknown>>

interface Page extends Row {
  readonly count: number
  readonly nextCursor: string | null
}

const sessionKeys =
  "aidA aidB boundary completedAt createdAt error grants namespace runId sessionId startedAt status updatedAt"
const tctKeys =
  "audience bindingCnf conflict expiresAt grants issuedAt issuer jti reportedBy revoked revokedAt revokedBy " +
  "revokedReason sessionId signatureVerified subject"
const delegationKeys =
  "conflict delegatee delegator expiresAt issuedAt jti parentJti revoked revokedAt revokedReason scope " +
  "signatureVerified synthetic"

const keysOf = (row: unknown) =>
  Object.keys(row as Row)
    .toSorted()
    .join(" ")

/** Ids and parties that no other test uses. */
const scene = () => {
  const id = randomUUID()
  const jtis = Array.from({ length: 4 }, () => randomUUID())
  return { run: `run-${id}`, session: `s/${id} é`, a: `a-${id}`, b: `b-${id}`, c: `c-${id}`, jtis }
}

const START = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const at = (seconds: number) => new Date(START + seconds * 1000).toISOString()

/** A session with two TCTs, its delegations, and a revocation. */
const reported = ({ a, b, c, jtis: [tct, second, first, below], run, session }: ReturnType<typeof scene>) => [
  {
    type: "handshake.started",
    ts: at(0),
    sessionId: session,
    runId: run,
    aidA: a,
    aidB: b,
    payload: { boundary: "edge" }
  },
  {
    type: "handshake.completed",
    ts: at(2),
    sessionId: session,
    runId: run,
    grants: ["demo.echo", "demo.read"],
    payload: {
      tcts: [
        {
          jti: tct,
          iss: a,
          sub: b,
          grants: ["demo.echo"],
          iat: START / 1000,
          exp: 4_102_444_800,
          cnf: { jkt: "thumb" }
        },
        { jti: second, iss: b, sub: a, grants: ["demo.read"], iat: START / 1000 + 1 }
      ]
    }
  },
  {
    type: "delegation.issued",
    ts: at(3),
    runId: run,
    payload: { jti: first, parent_jti: tct, delegator: b, delegatee: c, scope: ["demo.echo"] }
  },
  {
    type: "delegation.issued",
    ts: at(4),
    runId: run,
    payload: { jti: below, parent_jti: first, delegator: c, delegatee: a, scope: ["demo.echo"] }
  },
  { type: "delegation.revoked", ts: at(5), runId: run, payload: { jti: first } },
  { type: "tct.revoked", ts: at(6), runId: run, payload: { jti: second, reason: "left" } }
]

/** Every page of a list, one after the other. */
const walk = Effect.fnUntraced(function* (path: string, member: string) {
  const rows: Array<Row> = []
  let cursor: string | null = ""
  while (cursor !== null) {
    const page: Page = yield* read<Page>(
      cursor === "" ? path : `${path}&cursor=${encodeURIComponent(cursor)}`
    )
    const found = page[member] as ReadonlyArray<Row>
    assert.strictEqual(page.count, found.length)
    rows.push(...found)
    cursor = page.nextCursor
  }
  return rows
})

const text = encodeURIComponent

describe("reads", () => {
  layer(anyService, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("lists a session in exactly the documented form", () =>
      Effect.gen(function* () {
        const here = scene()
        yield* ingest(reported(here))
        const page = yield* read<Page>(`/api/sessions?run_id=${here.run}`)
        assert.strictEqual(keysOf(page), "count nextCursor sessions")
        const [session] = page["sessions"] as ReadonlyArray<Row>
        assert.strictEqual(keysOf(session), sessionKeys)
        const { createdAt, updatedAt, ...told } = session ?? {}
        assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.match(String(updatedAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.deepEqual(told, {
          sessionId: here.session,
          aidA: here.a,
          aidB: here.b,
          status: "complete",
          grants: ["demo.echo", "demo.read"],
          runId: here.run,
          boundary: "edge",
          error: null,
          startedAt: at(0),
          completedAt: at(2),
          namespace: null
        })
      })
    )

    it.effect("filters sessions by either spelling, either party and an alias of the status", () =>
      Effect.gen(function* () {
        const here = scene()
        yield* ingest(reported(here))
        const counts = yield* Effect.forEach(
          [
            `runId=${here.run}`,
            `run_id=${here.run}&runId=other`,
            `aid=${here.a}`,
            `aid=${here.b}`,
            `aid=${here.a}&status=complete`,
            `aid=${here.a}&status=completed`,
            `aid=${here.a}&status=failed`,
            `aid=${here.a}&status=nothing`,
            `aid=${here.c}`,
            `aid=${here.a}&limit=0`
          ],
          (query) => Effect.map(read<Page>(`/api/sessions?${query}`), ({ count }) => count)
        )
        assert.deepEqual(counts, [1, 1, 1, 1, 1, 1, 0, 0, 0, 1])
      })
    )

    it.effect("walks every list by cursor without skipping or repeating, and refuses foreign cursors", () =>
      Effect.gen(function* () {
        const { a, b, run } = scene()
        const jtis = Array.from({ length: 7 }, () => randomUUID())
        yield* ingest(
          jtis.flatMap((jti, n) => [
            { type: "handshake.started", ts: at(0), sessionId: `${run}-${n}`, runId: run, aidA: a, aidB: b },
            { type: "tct.issued", ts: at(0), payload: { tct: { jti, iss: a, sub: b } } },
            {
              type: "delegation.issued",
              ts: at(0),
              payload: { jti, parent_jti: jtis[0], delegator: a, delegatee: b }
            }
          ])
        )
        const sessions = yield* walk(`/api/sessions?run_id=${run}&limit=2`, "sessions")
        assert.strictEqual(new Set(sessions.map(({ sessionId }) => sessionId)).size, 7)
        assert.strictEqual(sessions.length, 7)
        const tcts = yield* walk(`/api/tcts?issuer=${a}&limit=2`, "tcts")
        assert.deepEqual(
          tcts.map(({ jti }) => jti),
          jtis.toSorted().toReversed()
        )
        const delegations = yield* walk(`/api/delegations?delegator=${a}&limit=2`, "delegations")
        assert.deepEqual(
          delegations.map(({ jti }) => jti),
          jtis.toSorted().toReversed()
        )
        const events = yield* walk(`/api/sessions/${run}-0/replay?limit=1`, "events")
        assert.strictEqual(events.length, 1)

        const first = yield* send(`/api/tcts?issuer=${a}&limit=2`, { key: true })
        const { nextCursor } = first.json<Page>()
        assert.match(String(first.headers["link"]), /^<\/api\/tcts\?issuer=.*cursor=.*>; rel="next"$/)
        for (const path of [
          `/api/tcts?issuer=${b}&cursor=${nextCursor}`,
          `/api/delegations?cursor=${nextCursor}`,
          `/api/sessions?cursor=${nextCursor}`,
          `/api/dashboard/agents?cursor=${nextCursor}`,
          "/api/sessions/x/replay?cursor=!"
        ]) {
          assert.strictEqual(yield* outcome(path, { key: true }), "400 CURSOR_INVALID", path)
        }
      })
    )

    it.effect("shows a session with its events in order", () =>
      Effect.gen(function* () {
        const here = scene()
        yield* ingest(reported(here).toReversed())
        const detail = yield* read<{ readonly session: Row; readonly events: ReadonlyArray<EventRow> }>(
          `/api/sessions/${text(here.session)}`
        )
        assert.strictEqual(keysOf(detail), "events session")
        assert.strictEqual(keysOf(detail.session), sessionKeys)
        assert.deepEqual(
          detail.events.map(({ ts }) => ts),
          [at(0), at(2)]
        )
        assert.deepEqual(
          detail.events.map(({ type }) => type),
          ["handshake.started", "handshake.completed"]
        )
        assert.isNull(detail.events[1]?.aidA)
        assert.strictEqual(yield* outcome("/api/sessions/unknown", { key: true }), "404 NOT_FOUND")
        assert.strictEqual(yield* outcome("/api/sessions/unknown/export", { key: true }), "404 NOT_FOUND")
      })
    )

    it.effect("replays a session, bounded by time, and an unknown one as empty", () =>
      Effect.gen(function* () {
        const here = scene()
        yield* ingest(reported(here))
        const path = `/api/sessions/${text(here.session)}/replay`
        const replay = (query = "") =>
          Effect.map(read<Page>(`${path}?${query}`), (page) => [page.count, page["sessionId"]])
        assert.deepEqual(yield* replay(), [2, here.session])
        assert.deepEqual(yield* replay("limit=0"), [2, here.session])
        assert.deepEqual(yield* replay("limit=1"), [1, here.session])
        assert.deepEqual(yield* replay(`since=${at(2)}`), [1, here.session])
        assert.deepEqual(yield* replay(`until=${at(1)}`), [1, here.session])
        assert.deepEqual(yield* read("/api/sessions/un%2Fknown/replay"), {
          sessionId: "un/known",
          count: 0,
          events: [],
          nextCursor: null
        })
        assert.strictEqual(yield* outcome(`${path}?since=yesterday`, { key: true }), "400 BAD_REQUEST")
        assert.strictEqual(yield* outcome(`${path}?until=x`, { key: true }), "400 BAD_REQUEST")
      })
    )

    it.effect("exports a session as one document and as lines", () =>
      Effect.gen(function* () {
        const here = scene()
        yield* ingest(reported(here))
        const path = `/api/sessions/${text(here.session)}/export`
        const document = yield* send(`${path}?format=other`, { key: true })
        assert.strictEqual(document.headers["content-type"], "application/json")
        assert.match(String(document.headers["content-digest"]), /^sha-256=:[A-Za-z0-9+/]{43}=:$/)
        const { events, session, tcts } = document.json<Record<string, ReadonlyArray<Row>>>()
        assert.strictEqual(keysOf(document.json()), "events exportedAt session tcts")
        assert.strictEqual(keysOf(session), sessionKeys)
        assert.deepEqual(
          tcts?.map(({ jti }) => jti),
          [here.jtis[1], here.jtis[0]]
        )
        assert.strictEqual(
          keysOf(tcts?.[0]),
          [...tctKeys.split(" "), "issuerAid", "subjectAid", "audienceAid", "createdAt"].toSorted().join(" ")
        )
        assert.strictEqual(events?.length, 2)

        const lines = yield* send(`${path}?format=jsonl`, { key: true })
        assert.strictEqual(lines.headers["content-type"], "application/x-ndjson")
        assert.strictEqual(
          lines.headers["content-disposition"],
          `attachment; filename="session-${text(here.session)}.jsonl"`
        )
        const records = lines.text
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as { readonly kind: string; readonly record: Row })
        assert.deepEqual(
          records.map(({ kind }) => kind),
          ["session", "tct", "tct", "event", "event"]
        )
        assert.deepEqual(
          records.map(({ record }) => record),
          [session, ...(tcts ?? []), ...(events ?? [])]
        )
        const limited = yield* send(`${path}?format=jsonl&eventLimit=1`, { key: true })
        assert.strictEqual(limited.text.trimEnd().split("\n").length, 4)
      })
    )

    it.effect("lists TCTs in exactly the documented form, by every filter", () =>
      Effect.gen(function* () {
        const here = scene()
        const { a, b } = here
        const [tct, second] = here.jtis
        yield* ingest(reported(here))
        const page = yield* read<Page>(`/api/tcts?session_id=${text(here.session)}`)
        assert.strictEqual(keysOf(page), "count nextCursor tcts")
        const [newest, oldest] = page["tcts"] as ReadonlyArray<Row>
        const { reportedBy, ...told } = oldest ?? {}
        assert.isString(reportedBy)
        assert.strictEqual(keysOf(oldest), tctKeys)
        assert.deepEqual(told, {
          jti: tct,
          issuer: a,
          subject: b,
          audience: b,
          grants: ["demo.echo"],
          bindingCnf: "thumb",
          issuedAt: at(0),
          expiresAt: "2100-01-01T00:00:00.000Z",
          sessionId: here.session,
          revoked: false,
          revokedAt: null,
          revokedBy: [],
          revokedReason: null,
          signatureVerified: null,
          conflict: false
        })
        assert.deepEqual(
          [newest?.["jti"], newest?.["revoked"], newest?.["revokedAt"], newest?.["revokedBy"]],
          [second, true, at(6), ["report"]]
        )
        const jtisOf = (query: string) =>
          Effect.map(read<Page>(`/api/tcts?${query}`), ({ tcts }) =>
            (tcts as ReadonlyArray<Row>).map(({ jti }) => jti)
          )
        const own = `sessionId=${text(here.session)}`
        assert.deepEqual(yield* jtisOf(`issuer=${a}`), [tct])
        assert.deepEqual(yield* jtisOf(`subject=${a}`), [second])
        assert.deepEqual(yield* jtisOf(`audience=${b}`), [tct])
        assert.deepEqual(yield* jtisOf(`jti=${tct?.toUpperCase()}`), [tct])
        assert.deepEqual(yield* jtisOf(`${own}&capability=demo.read`), [second])
        assert.deepEqual(yield* jtisOf(`${own}&active=true`), [tct])
        assert.deepEqual(yield* jtisOf(`${own}&active=1`), [second, tct])
        assert.deepEqual(yield* jtisOf(`${own}&offset=1`), [tct])
        assert.deepEqual(yield* read(`/api/tcts/${tct}`), { tcts: [oldest] })
      })
    )

    it.effect("answers 404 for ids that are unknown or no ids, and 400 for filters that are none", () =>
      Effect.gen(function* () {
        const expected = [
          [`/api/tcts/${randomUUID()}`, "404 NOT_FOUND"],
          ["/api/tcts/not-a-uuid", "404 NOT_FOUND"],
          ["/api/delegations?root_jti=x", "400 BAD_REQUEST"],
          ["/api/delegations?rootJti=x", "400 BAD_REQUEST"],
          ["/api/delegations?parent_jti=x", "400 BAD_REQUEST"],
          ["/api/delegations?delegator=%00", "400 BAD_REQUEST"],
          ["/api/sessions?offset=100001", "400 BAD_REQUEST"]
        ] as const
        for (const [path, wanted] of expected) {
          assert.strictEqual(yield* outcome(path, { key: true }), wanted, path)
        }
        for (const path of ["sessions", "sessions/x", "tcts", "delegations", "dashboard/overview"]) {
          assert.strictEqual(yield* outcome(`/api/${path}`), "401 INVALID_API_KEY", path)
        }
      })
    )

    it.effect("lists delegations, direct children and whole trees", () =>
      Effect.gen(function* () {
        const here = scene()
        const [tct, , first, below] = here.jtis
        yield* ingest(reported(here))
        const children = yield* read<Page>(`/api/delegations?parentJti=${tct}`)
        assert.strictEqual(keysOf(children), "count delegations nextCursor")
        const [child] = children["delegations"] as ReadonlyArray<Row>
        assert.strictEqual(keysOf(child), delegationKeys)
        assert.deepEqual(child, {
          jti: first,
          parentJti: tct,
          delegator: here.b,
          delegatee: here.c,
          scope: ["demo.echo"],
          issuedAt: at(3),
          expiresAt: null,
          revoked: true,
          revokedAt: at(5),
          revokedReason: "explicit",
          synthetic: false,
          signatureVerified: null,
          conflict: false
        })
        const brief = (path: string) =>
          Effect.map(read<Page>(path), ({ delegations }) =>
            (delegations as ReadonlyArray<Row>).map(({ depth, jti, revokedReason }) => [
              jti,
              depth,
              revokedReason
            ])
          )
        assert.deepEqual(yield* brief(`/api/delegations?root_jti=${tct}&limit=1&active=true`), [
          [first, 1, "explicit"],
          [below, 2, "parent_revoked"]
        ])
        assert.deepEqual(yield* brief(`/api/delegations?rootJti=${first}`), [
          [first, 0, "explicit"],
          [below, 1, "parent_revoked"]
        ])
        assert.deepEqual(yield* brief(`/api/delegations?delegatee=${here.a}&active=true`), [])
        assert.strictEqual((yield* brief(`/api/delegations?delegatee=${here.a}`)).length, 1)
      })
    )
  })
})
