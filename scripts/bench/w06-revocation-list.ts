import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { readRevocationList, type HeldList } from "../../src/client/revocation-list.ts"
import { attempt, type Reply, send, sendFor } from "./client.ts"
import { plainLoad, startHello, startPlain, storedOf } from "./limits.ts"
import type { Answer, Load, Shot } from "./load.ts"
import { BenchError, type Figure, type Workload } from "./model.ts"
import { connect, migratedDatabase, type Sql } from "./postgres.ts"
import { percentiles } from "./report.ts"
import { compare } from "./rounds.ts"
import { SERVICE_AID, startService } from "./service.ts"
import { merged } from "./statistics.ts"

const ENTRIES = 10_000
const CONNECTIONS = 8
/** Of conditional requests, which are small. */
const CONDITIONAL_CONNECTIONS = 32
const PATH = "/.well-known/aitp-revocation-list"
const REVOKE_EVERY_MS = 1000
const PUBLISHED_MS = 10_000

const seed = (sql: Sql) => sql`
  insert into revocation_entries (jti, issuer_given, revoked_at, reason, actor_id, event_seq, created_at)
  select gen_random_uuid(), false, date_trunc('milliseconds', clock_timestamp()) - n * interval '137 seconds', null,
    'bench', 0, date_trunc('milliseconds', clock_timestamp())
  from generate_series(1, ${ENTRIES}::int) as n`

/** Every version of the list that was served, by its tag. */
class Versions {
  readonly #bodies = new Map<string, string>()
  #latest = ""

  /** Tag of the newest version; clients ask with what they have. */
  get latest(): string {
    return this.#latest
  }

  /** What is wrong with an answer: a body other than the one its tag had before, a 304 for another version. */
  check({ body, headers, status }: Answer): string | undefined {
    const tag = headers["etag"] ?? ""
    const known = this.#bodies.get(tag)
    if (status === 304) return known === undefined ? "304 for a version that was never served" : undefined
    if (status !== 200) return "status"
    if (known === undefined) {
      this.#bodies.set(tag, body)
      this.#latest = tag
      return undefined
    }
    return known === body ? undefined : "one tag for two bodies"
  }

  /** Signature, order of publication and, of the last one, the entries. */
  async verify(revoked: ReadonlyArray<string>): Promise<number> {
    let held: HeldList | undefined
    for (const body of this.#bodies.values()) held = await readRevocationList(body, SERVICE_AID, held)
    const lacking = revoked.filter((jti) => held?.entries.has(jti) !== true)
    if (held === undefined || lacking.length > 0 || held.entries.size !== ENTRIES + revoked.length)
      throw new BenchError(`the list has ${held?.entries.size} entries, ${lacking.length} are lacking`)
    return this.#bodies.size
  }
}

const answerOf = ({ body, headers, status }: Reply): Answer => ({
  status,
  body,
  headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
})

/** The list once it has all that was seeded. */
const published = Effect.fnUntraced(function* (url: string) {
  const begun = performance.now()
  while (performance.now() - begun < PUBLISHED_MS) {
    const reply = yield* attempt(() => send("GET", url + PATH))
    if (reply.status === 200 && reply.body.split('"jti"').length > ENTRIES) return reply
    yield* Effect.sleep(20)
  }
  return yield* Effect.fail(new BenchError("the list was not published"))
})

/** Conditional requests all alike are made anew each time, as those are whose tag changes. */
const madeAnew = (load: Omit<Load, "seconds">): Omit<Load, "seconds"> => ({
  ...load,
  shots: load.shots.map((shot) => ({ ...shot, own: () => ({}) }))
})

export const revocationList: Workload = {
  id: "W6",
  title: `Revocation list with ${ENTRIES} entries, one revocation a second meanwhile`,
  run: Effect.gen(function* () {
    const databaseUrl = yield* migratedDatabase
    yield* Effect.flatMap(connect(databaseUrl), seed)
    const { url } = yield* startService(databaseUrl)
    const first = yield* published(url)
    const versions = new Versions()
    versions.check(answerOf(first))

    const stored = storedOf(first)
    const unmodified = { ...stored, status: 304, body: "" }
    const plain = yield* startPlain({ "/list": stored, "/unmodified": unmodified })
    const hello = yield* startHello

    const revoked: Array<string> = []
    const faults: Array<unknown> = []
    const revoke = Effect.gen(function* () {
      const jti = randomUUID()
      const body = JSON.stringify({ jti, reason: "bench" })
      const answer = yield* attempt(() => sendFor(201, "POST", `${url}/api/revocation/entries`, { body }))
      const { listVersion } = JSON.parse(answer) as { readonly listVersion: number | null }
      if (listVersion === null) faults.push(new BenchError("a revocation was not published within 3 s"))
      revoked.push(jti)
    }).pipe(
      Effect.catch((error) => Effect.sync(() => void faults.push(error))),
      Effect.uninterruptible // one that is under way when the load ends must be known, too
    )

    const check = (answer: Answer) => versions.check(answer)
    const list: Shot = { path: PATH, check }
    const conditional: Shot = { path: PATH, own: () => ({ "if-none-match": versions.latest }), check }
    const hellos: Shot = {
      path: "/api/hello",
      own: () => ({}),
      check: ({ status }) => (status === 204 ? undefined : "status")
    }
    const { rates, timings } = yield* Effect.raceFirst(
      compare({
        list: { url, connections: CONNECTIONS, shots: [list] },
        plain: plainLoad(plain.url, CONNECTIONS, "/list", stored),
        conditional: { url, connections: CONDITIONAL_CONNECTIONS, shots: [conditional] },
        hello: { url: hello.url, connections: CONDITIONAL_CONNECTIONS, shots: [hellos] },
        plainConditional: madeAnew(plainLoad(plain.url, CONDITIONAL_CONNECTIONS, "/unmodified", unmodified))
      }),
      Effect.andThen(revoke, Effect.sleep(REVOKE_EVERY_MS)).pipe(Effect.forever)
    )
    // Whoever reads now must see all of them.
    versions.check(answerOf(yield* attempt(() => send("GET", url + PATH))))
    const [fault] = faults
    if (fault !== undefined) return yield* Effect.fail(fault)
    const count = yield* attempt(() => versions.verify(revoked))

    const all = merged([timings.list, timings.conditional]).summary()
    const figures: ReadonlyArray<Figure> = [
      {
        what: `the list, ${(Buffer.byteLength(first.body) / 1024).toFixed(0)} KiB, ${CONNECTIONS} connections`,
        value: rates.of("list"),
        unit: "/s",
        limit: { what: "the same bytes from `node:http`", value: rates.of("plain") },
        ratio: rates.ratio("list", "plain"),
        target: { kind: "share", atLeast: 0.7 },
        detail: `${count} versions, ${percentiles(timings.list.summary())}`
      },
      {
        what: `304, ${CONDITIONAL_CONNECTIONS} connections`,
        value: rates.of("conditional"),
        unit: "/s",
        limit: { what: "an empty route behind the service's middleware", value: rates.of("hello") },
        ratio: rates.ratio("conditional", "hello"),
        target: { kind: "share", atLeast: 0.8 },
        detail: percentiles(timings.conditional.summary())
      },
      {
        what: "304",
        value: rates.of("conditional"),
        unit: "/s",
        limit: { what: "304 from `node:http`", value: rates.of("plainConditional") },
        ratio: rates.ratio("conditional", "plainConditional"),
        target: { kind: "share", atLeast: 0.5 }
      },
      {
        what: "longest of all these requests",
        value: all.max,
        unit: "ms",
        limit: {
          what: "`node:http`",
          value: merged([timings.plain, timings.plainConditional]).summary().max
        },
        target: { kind: "at most", value: 100 },
        detail: `${revoked.length} revocations meanwhile`
      }
    ]
    return figures
  })
}
