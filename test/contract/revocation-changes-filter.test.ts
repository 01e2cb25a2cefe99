import { createHash, randomUUID } from "node:crypto"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ed25519Signer } from "../../src/aitp/signer.ts"
import { formatAid } from "../../src/aitp/aid.ts"
import { canonicalJson } from "../../src/aitp/jcs.ts"
import { applyRevocationDelta } from "../../src/client/revocation-delta.ts"
import { mightContain, readRevocationFilter } from "../../src/client/revocation-filter.ts"
import { isRevoked, readRevocationList } from "../../src/client/revocation-list.ts"
import { readRevocationStatus } from "../../src/client/revocation-status.ts"
import { type Answer, type Options, outcome, outcomeOf, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { AID_SEED_HEX, Control, isRemote, ownService, Service, startOn } from "../support/service/Service.ts"
import { eventually } from "../support/db/eventually.ts"

const LIST = "/.well-known/aitp-revocation-list"
const CHANGES = "/api/revocation/changes"
const FILTER = "/api/revocation/filter"
const STATUS = "/api/revocation/status"

const issuer = formatAid("ed25519", ed25519Signer(Buffer.from(AID_SEED_HEX, "hex")).raw)

const now = () => Math.floor(Date.now() / 1000)

const ok = (path: string, options?: Options) =>
  Effect.map(send(path, options), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer
  })

/** Revokes, and waits for the version that says so. */
const revoke = Effect.fnUntraced(function* (jti: string, reason: string | null = null) {
  const answer = yield* send("/api/revocation/entries", { key: true, body: { jti, reason } })
  assert.strictEqual(answer.status, 201, answer.text)
  const { listVersion } = answer.json<{ readonly listVersion: number }>()
  assert.isNumber(listVersion)
  return listVersion
})

const heldList = Effect.flatMap(ok(LIST), ({ text }) =>
  Effect.promise(() => readRevocationList(text, issuer))
)

const digestOf = (bytes: Buffer) => `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`

const decoded = ({ bytes, headers }: Answer): string => {
  const coding = headers["content-encoding"]
  if (coding === "br") return brotliDecompressSync(bytes).toString("utf8")
  return coding === "gzip" ? gunzipSync(bytes).toString("utf8") : bytes.toString("utf8")
}

describe.skipIf(isRemote)("revocation feeds", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })("of one replica", (it) => {
    it.effect("let a client follow the list by deltas, from the full list on", () =>
      Effect.gen(function* () {
        const [first, second] = [randomUUID(), randomUUID()]
        yield* revoke(first, 'with "quotes" and ü')
        const full = yield* heldList
        const start = yield* ok(CHANGES)
        const held = yield* Effect.promise(() => applyRevocationDelta(full, start.text))
        assert.isTrue(isRevoked(held, first, { now: now() }))
        yield* revoke(second)
        const delta = yield* ok(`${CHANGES}?after=${held.version}`)
        const next = yield* Effect.promise(() => applyRevocationDelta(held, delta.text))
        assert.isFalse(isRevoked(held, second, { now: now() }))
        assert.isTrue(isRevoked(next, second, { now: now() }))
        const again = yield* heldList
        assert.strictEqual(next.entriesSha256, again.entriesSha256)
        assert.strictEqual(
          canonicalJson([...next.entries.values()]),
          canonicalJson([...again.entries.values()])
        )
      })
    )

    it.effect("let a client keep a filter and look up its hits", () =>
      Effect.gen(function* () {
        const [revoked, other] = [randomUUID(), randomUUID()]
        const version = yield* revoke(revoked, "stolen")
        const { text } = yield* ok(FILTER)
        const filter = yield* Effect.promise(() => readRevocationFilter(text, issuer))
        assert.isAtLeast(filter.listVersion, version)
        assert.isTrue(yield* Effect.promise(() => mightContain(filter, revoked, { now: now() })))
        assert.isFalse(yield* Effect.promise(() => mightContain(filter, other, { now: now() })))
        const look = Effect.fnUntraced(function* (jti: string) {
          const status = yield* ok(`${STATUS}/${jti}`)
          return yield* Effect.promise(() =>
            readRevocationStatus(status.text, { issuer, jti, now: now(), listVersion: version })
          )
        })
        assert.include(yield* look(revoked.toUpperCase()), { jti: revoked, revoked: true, reason: "stolen" })
        assert.include(yield* look(other), { jti: other, revoked: false })
      })
    )

    it.effect("need no credential and mind none", () =>
      Effect.gen(function* () {
        for (const path of [CHANGES, FILTER, `${STATUS}/${randomUUID()}`]) {
          for (const authorization of ["Bearer wrong", "x"]) {
            assert.strictEqual(yield* outcome(path, { headers: { authorization } }), "200 ok")
          }
          assert.strictEqual(yield* outcome(path, { key: true }), "200 ok")
        }
      })
    )

    it.effect("refuse versions that are none, and those that nobody has published", () =>
      Effect.gen(function* () {
        for (const after of [
          "x",
          "-1",
          "1.5",
          "01",
          "+1",
          "1e3",
          "0x1",
          "%20",
          "1%20",
          "9".repeat(16),
          "999999999"
        ]) {
          assertRefused(yield* send(`${CHANGES}?after=${after}`), 400, "CURSOR_INVALID")
        }
        assertRefused(yield* send(`${CHANGES}?after=%00`), 400, "BAD_REQUEST")
        assert.strictEqual(yield* outcome(`${CHANGES}?after=`), "200 ok")
      })
    )

    it.effect("refuse to look up what is no UUID", () =>
      Effect.gen(function* () {
        const nil = "00000000-0000-0000-0000-000000000000"
        for (const jti of ["x", nil, "%2F", `${randomUUID()}%20`, "550e8400e29b41d4a716446655440000"]) {
          assertRefused(yield* send(`${STATUS}/${jti}`), 400, "JTI_INVALID")
        }
        assert.strictEqual(yield* outcome(`${STATUS}/`), "401 INVALID_API_KEY")
        assert.strictEqual(yield* outcome(`${STATUS}/`, { key: true }), "404 NOT_FOUND")
        assert.strictEqual(yield* outcome(FILTER, { key: true, body: {} }), "405 METHOD_NOT_ALLOWED")
      })
    )

    it.effect("have a strong tag and a digest, and are sent once to those who keep them", () =>
      Effect.gen(function* () {
        yield* revoke(randomUUID())
        for (const [path, cacheControl] of [
          [CHANGES, "no-cache"],
          [FILTER, "max-age=60"],
          [`${STATUS}/${randomUUID()}`, "no-cache"]
        ] as const) {
          const answer = yield* ok(path)
          assert.strictEqual(answer.headers["content-type"], "application/json")
          assert.strictEqual(answer.headers["cache-control"], cacheControl)
          assert.strictEqual(answer.headers["content-digest"], digestOf(answer.bytes))
          const etag = answer.headers.etag ?? ""
          assert.match(etag, /^"[A-Za-z0-9_-]{27}"$/)
          const same = yield* send(path, { headers: { "if-none-match": etag } })
          // a version may have been published in between
          if (same.status === 200) assert.notStrictEqual(same.headers.etag, etag)
          else assert.deepInclude([same.status, same.text, same.headers.etag], etag)
          const head = yield* send(path, { method: "HEAD" })
          assert.deepEqual([head.status, head.text], [200, ""])
          assert.strictEqual(yield* outcome(path, { headers: { "if-none-match": '"x"' } }), "200 ok")
        }
      })
    )

    it.effect("send the filter in the coding that the client asks for, each with its own tag", () =>
      Effect.gen(function* () {
        // enough entries to be worth a coding
        const { sql } = yield* Control
        yield* sql`
          insert into revocation_entries (jti, issuer_given, revoked_at, actor_id, event_seq, created_at)
          select gen_random_uuid(), false, now() - interval '1 hour', 'test', 0, now() from generate_series(1, 400)`
        yield* revoke(randomUUID())
        const tags = new Set<string | undefined>()
        for (const coding of ["identity", "gzip", "br"]) {
          const answer = yield* ok(FILTER, { headers: { "accept-encoding": coding } })
          assert.strictEqual(answer.headers["content-encoding"] ?? "identity", coding)
          assert.strictEqual(answer.headers["content-digest"], digestOf(answer.bytes))
          const filter = yield* Effect.promise(() => readRevocationFilter(decoded(answer), issuer))
          assert.isAbove(filter.entries, 400)
          tags.add(answer.headers.etag)
        }
        assert.strictEqual(tags.size, 3)
      })
    )

    it.effect("send who has fallen behind what is kept back to the full list", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const version = yield* revoke(randomUUID())
        yield* sql`delete from revocation_lists where version < ${version}::bigint`
        yield* revoke(randomUUID())
        const answer = yield* send(`${CHANGES}?after=${version - 1}`)
        const { earliest } = answer.json()
        assertRefused(answer, 410, "CURSOR_EXPIRED", { earliest })
        assert.strictEqual(earliest, String(version))
        assert.strictEqual(yield* outcome(`${CHANGES}?after=0`), "410 CURSOR_EXPIRED")
        assert.strictEqual(yield* outcome(`${CHANGES}?after=${version}`), "200 ok")
      })
    )
  })

  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })("of two replicas", (it) => {
    it.effect("are the same bytes", () =>
      Effect.gen(function* () {
        const one = yield* Service
        const { databaseUrl } = yield* Control
        const other = yield* startOn(databaseUrl)
        const jti = randomUUID()
        yield* revoke(randomUUID())
        const version = yield* revoke(jti)
        const both = Effect.fnUntraced(function* (path: string) {
          const [a, b] = [yield* sendTo(one, path), yield* sendTo(other, path)]
          assert.strictEqual(a.status, 200, a.text)
          return a.text === b.text && a.headers.etag === b.headers.etag
        })
        // A list of an unchanged deployment lives for up to a minute, so they soon speak of the same one.
        for (const path of [`${CHANGES}?after=${version - 1}`, CHANGES, FILTER, `${STATUS}/${jti}`]) {
          yield* eventually(both(path), (same) => same)
        }
      })
    )

    it.effect("know a version that the other one has shown", () =>
      Effect.gen(function* () {
        const { databaseUrl } = yield* Control
        const other = yield* startOn(databaseUrl)
        for (let n = 0; n < 3; n += 1) {
          const version = yield* revoke(randomUUID())
          const answer = yield* sendTo(other, `${CHANGES}?after=${version}`)
          assert.strictEqual(outcomeOf(answer), "200 ok")
        }
      })
    )
  })

  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })("without a list", (it) => {
    it.effect("are refused like the list", () =>
      Effect.gen(function* () {
        yield* revoke(randomUUID())
        const { sql } = yield* Control
        // a newer list is known to exist and cannot be had
        yield* sql`
          with next as (
            update revocation_publication set
              version = version + 1, holder = gen_random_uuid(), claimed_until = now() + interval '1 hour'
            returning version
          )
          insert into revocation_lists (
            version, published_at, expires_at, entries, sha256, covers_seq, changed, announced, input_hash)
          select n.version, l.published_at + 1, l.expires_at + 1, l.entries, '', l.covers_seq, false, true, l.input_hash
          from next n join revocation_lists l on l.version = n.version - 1`
        yield* eventually(outcome(LIST), (found) => found === "503 REVOCATION_UNAVAILABLE")
        for (const path of [CHANGES, `${CHANGES}?after=1`, FILTER, `${STATUS}/${randomUUID()}`]) {
          const answer = yield* send(path)
          assertRefused(answer, 503, "REVOCATION_UNAVAILABLE")
          assert.strictEqual(answer.headers["retry-after"], "30")
          assert.strictEqual(answer.headers["cache-control"], "no-store")
        }
      })
    )
  })
})
