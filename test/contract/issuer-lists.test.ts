import { createHash, randomUUID } from "node:crypto"
import { gunzipSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { formatAid } from "../../src/aitp/aid.ts"
import type { TestAgent } from "../support/aitp/agent.ts"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { eventually } from "../support/db/eventually.ts"
import { listText, nowSecs } from "../support/issuer-lists/mirror.ts"
import { delegationEvent, tctEvent } from "../support/issuer-lists/observed.ts"
import { join, newAgent } from "../support/service/agents.ts"
import { read, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { ingest } from "../support/service/events.ts"
import { parseExposition } from "../support/service/exposition.ts"
import { fetchList, revoke } from "../support/service/revocations.ts"
import { Control, isRemote, ownService, startOn } from "../support/service/Service.ts"
import { listFault, type SignedList } from "../support/service/verify-list.ts"
import { asked, saying, startIssuer } from "../support/trust/issuer.ts"

const INTERVAL_MS = 1000

const environment = {
  REVOCATION_MIRROR_ENABLED: "true",
  REVOCATION_MIRROR_INTERVAL_MS: String(INTERVAL_MS),
  REVOCATION_MIRROR_ALLOW_CIDRS: "127.0.0.0/8",
  REVOCATION_MIRROR_TIMEOUT_MS: "1000",
  LEASE_SECS: "2"
}

const ISSUERS = "/api/revocation/issuers"
const listPath = (aid: string) => `${ISSUERS}/${encodeURIComponent(aid)}/list`

interface IssuerRow {
  readonly aid: string
  readonly uri: string | null
  readonly state: string
  readonly fetchedAt: string | null
  readonly publishedAt: string | null
  readonly expiresAt: string | null
  readonly entries: number | null
  readonly signingForm: string | null
  readonly sha256: string | null
  readonly failure: { readonly kind: string; readonly count: number } | null
  readonly nextFetchAt: string | null
}

interface IssuerPage {
  readonly issuers: ReadonlyArray<IssuerRow>
  readonly count: number
  readonly nextCursor: string | null
}

interface TctPage {
  readonly tcts: ReadonlyArray<{ readonly issuer: string; readonly revokedBy: ReadonlyArray<string> }>
}

interface DelegationPage {
  readonly delegations: ReadonlyArray<{ readonly jti: string; readonly revokedReason: string | null }>
}

/** Registers an agent whose manifest names its list there. */
const registered = Effect.fnUntraced(function* (uri: string, agent: TestAgent = newAgent()) {
  yield* join(mintManifest(agent, { extensions: { "rfc-aitp-0008.revocation_list_uri": uri } }))
  return agent
})

/** A registered agent and the list that its issuer answers with. */
const publishing = Effect.fnUntraced(function* (text: (agent: TestAgent) => string) {
  const issuer = yield* startIssuer
  const agent = newAgent()
  const says = (next: string, headers: Readonly<Record<string, string>> = {}) =>
    issuer.answer("/list", saying(200, next, headers))
  says(text(agent))
  yield* registered(`${issuer.url}/list`, agent)
  return { agent, issuer, says }
})

const copyOf = ({ aid }: TestAgent, headers: Readonly<Record<string, string>> = {}) =>
  send(listPath(aid), { key: true, headers })

/** The copy once it is there. */
const copied = (agent: TestAgent) => eventually(copyOf(agent), ({ status }) => status === 200)

const rowsOf = read<IssuerPage>(`${ISSUERS}?limit=1000`)

const rowOf = ({ aid }: TestAgent) =>
  Effect.map(rowsOf, ({ issuers }) => {
    const row = issuers.find((each) => each.aid === aid)
    assert(row !== undefined)
    return row
  })

const tctsWith = (jti: string) => Effect.map(read<TctPage>(`/api/tcts/${jti}`), ({ tcts }) => tcts)

describe.skipIf(isRemote)("lists of issuers", () => {
  layer(ownService(environment), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("are served byte for byte as the issuer signed them, with their freshness and with 304", () =>
      Effect.gen(function* () {
        const jtis = Array.from({ length: 20 }, () => randomUUID())
        let sent = ""
        const { agent } = yield* publishing(
          (agent) => (sent = JSON.stringify(JSON.parse(listText(agent, jtis.toSorted())), null, 7))
        )
        const answer = yield* copied(agent)
        assert.strictEqual(answer.text, sent)
        assert.isUndefined(listFault(answer.text))
        const digest = createHash("sha256").update(sent).digest()
        assert.strictEqual(answer.headers["content-type"], "application/json")
        assert.strictEqual(answer.headers["content-digest"], `sha-256=:${digest.toString("base64")}:`)
        assert.strictEqual(answer.headers["cache-control"], "no-cache")
        assert.match(String(answer.headers["age"]), /^\d$/)
        assert.closeTo(Date.parse(String(answer.headers["x-issuer-list-fetched-at"])), Date.now(), 20_000)

        const row = yield* rowOf(agent)
        assert.deepInclude(row, { state: "fresh", entries: 20, signingForm: "inner", failure: null })
        assert.strictEqual(row.sha256, digest.toString("base64url"))
        const { revocation_list: list } = JSON.parse(sent) as SignedList
        assert.deepEqual(
          [Date.parse(row.publishedAt ?? ""), Date.parse(row.expiresAt ?? "")],
          [list.published_at * 1000, list.expires_at * 1000]
        )

        const unchanged = yield* copyOf(agent, { "if-none-match": String(answer.headers["etag"]) })
        assert.deepEqual([unchanged.status, unchanged.text], [304, ""])
        const zipped = yield* copyOf(agent, { "accept-encoding": "gzip" })
        assert.strictEqual(zipped.headers["content-encoding"], "gzip")
        assert.strictEqual(gunzipSync(zipped.bytes).toString("utf8"), sent)
        const otherSpelling = formatAid("ed25519", agent.raw, "ed25519")
        assert.strictEqual((yield* send(listPath(otherSpelling), { key: true })).text, sent)
        const head = yield* send(listPath(agent.aid), { key: true, method: "HEAD" })
        assert.deepEqual([head.status, head.text], [200, ""])
      })
    )

    it.effect("are not there for agents that name none, and unavailable while there is no copy", () =>
      Effect.gen(function* () {
        const [stranger, silent] = [newAgent(), newAgent()]
        yield* join(mintManifest(silent))
        for (const aid of [stranger.aid, silent.aid, "aid:pubkey:x", "x"]) {
          assertRefused(yield* send(listPath(aid), { key: true }), 404, "NOT_FOUND")
        }
        const { agent, issuer } = yield* publishing(() => "<html>")
        yield* asked(issuer, 1)
        const failing = yield* eventually(rowOf(agent), ({ failure }) => failure !== null)
        assert.deepInclude(failing, { state: "missing", entries: null, fetchedAt: null, sha256: null })
        assert.strictEqual(failing.failure?.kind, "invalid")
        assertRefused(yield* copyOf(agent), 503, "REVOCATION_UNAVAILABLE")
        assertRefused(yield* send(listPath(agent.aid)), 401, "INVALID_API_KEY")
        assertRefused(yield* send(ISSUERS), 401, "INVALID_API_KEY")
      })
    )

    it.effect("are unavailable once the copy has expired, and never replaced by a worse one", () =>
      Effect.gen(function* () {
        const listed = randomUUID()
        const { agent, says } = yield* publishing((agent) =>
          listText(agent, [listed], { expires_at: nowSecs() + 10 })
        )
        const kept = (yield* copied(agent)).text
        says(listText(agent, [], { published_at: nowSecs() + 1 }))
        yield* eventually(rowOf(agent), ({ failure }) => failure?.kind === "shrunk")
        assert.strictEqual((yield* copyOf(agent)).text, kept)
        says(listText(agent, [listed], { published_at: nowSecs() - 600 }))
        const expired = yield* eventually(copyOf(agent), ({ status }) => status !== 200)
        assertRefused(expired, 503, "REVOCATION_UNAVAILABLE")
        assert.strictEqual((yield* rowOf(agent)).state, "stale")
        says(listText(agent, [listed], { published_at: nowSecs() + 1 }))
        assert.isUndefined(listFault((yield* copied(agent)).text))
      })
    )

    it.effect("revoke the issuer's own tokens and what was delegated from them, and nobody else's", () =>
      Effect.gen(function* () {
        const [jti, hop, ofOther] = [randomUUID(), randomUUID(), randomUUID()]
        const [holder, stranger] = [newAgent(), newAgent()]
        const { agent, says } = yield* publishing((agent) => listText(agent, []))
        yield* ingest([
          tctEvent(agent.aid, holder.aid, jti),
          tctEvent(stranger.aid, holder.aid, ofOther),
          delegationEvent(holder.aid, newAgent().aid, hop, jti)
        ])
        yield* copied(agent)
        says(listText(agent, [jti, ofOther], { published_at: nowSecs() + 1 }))
        const [tct] = yield* eventually(tctsWith(jti), ([tct]) => tct?.revokedBy.length === 1)
        assert.deepEqual(tct?.revokedBy, ["issuer"])
        assert.deepEqual((yield* tctsWith(ofOther))[0]?.revokedBy, [])
        const { delegations } = yield* read<DelegationPage>(`/api/delegations?parentJti=${jti}`)
        assert.deepEqual(
          delegations.map(({ jti, revokedReason }) => [jti, revokedReason]),
          [[hop, "parent_revoked"]]
        )
        // The operator's entry is another fact, and the issuer's is in no list of the operator's.
        assert.isFalse((yield* fetchList).entries.some((entry) => entry.jti === jti))
        yield* revoke({ jti })
        assert.deepEqual((yield* tctsWith(jti))[0]?.revokedBy, ["issuer", "operator"])
        // A token that is reported later is born revoked.
        const late = randomUUID()
        says(listText(agent, [jti, ofOther, late], { published_at: nowSecs() + 2 }))
        yield* eventually(rowOf(agent), ({ entries }) => entries === 3)
        yield* ingest([tctEvent(agent.aid, holder.aid, late)])
        assert.deepEqual((yield* tctsWith(late))[0]?.revokedBy, ["issuer"])
      })
    )

    it.effect("are listed by page", () =>
      Effect.gen(function* () {
        const { agent } = yield* publishing((agent) => listText(agent, []))
        yield* copied(agent)
        const all = yield* rowsOf
        const seen: Array<string> = []
        let cursor: string | null = null
        do {
          const page: IssuerPage = yield* read<IssuerPage>(
            `${ISSUERS}?limit=2${cursor === null ? "" : `&cursor=${cursor}`}`
          )
          seen.push(...page.issuers.map(({ aid }) => aid))
          cursor = page.nextCursor
        } while (cursor !== null)
        assert.deepEqual(
          seen,
          all.issuers.map(({ aid }) => aid)
        )
        assertRefused(yield* send(`${ISSUERS}?cursor=x`, { key: true }), 400, "CURSOR_INVALID")
      })
    )

    it.effect("are fetched once per interval by all replicas together, and kept through a crash", () =>
      Effect.gen(function* () {
        const { databaseUrl } = yield* Control
        const other = yield* startOn(databaseUrl, environment)
        const { agent, issuer } = yield* publishing((agent) => listText(agent, [randomUUID()]))
        yield* asked(issuer, 5)
        const times = issuer.requests.map(({ at }) => at)
        for (const [index, at] of times.entries()) {
          // a tenth is taken off at random
          if (index > 0) assert.isAtLeast(at - (times[index - 1] ?? 0), INTERVAL_MS * 0.85)
        }
        const { text } = yield* copyOf(agent)
        assert.strictEqual((yield* sendTo(other, listPath(agent.aid), { key: true })).text, text)
        issuer.answer("/list", saying(500, ""))
        yield* other.service.kill
        const again = yield* startOn(databaseUrl, environment)
        assert.strictEqual((yield* sendTo(again, listPath(agent.aid), { key: true })).text, text)
        const seen = issuer.requests.length
        yield* asked(issuer, seen + 1)
      })
    )

    it.effect("are counted by what became of them", () =>
      Effect.gen(function* () {
        const { samples } = parseExposition((yield* send("/api/metrics")).text)
        const valueOf = (name: string, labels: Readonly<Record<string, string>> = {}) =>
          samples.find(
            (sample) =>
              sample.name === `aitp_control_plane_${name}` &&
              Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
          )?.value
        assert.isAbove(valueOf("issuer_list_fetches_total", { outcome: "fetched" }) ?? 0, 0)
        assert.isAbove(valueOf("issuer_list_fetches_total", { outcome: "shrunk" }) ?? 0, 0)
        assert.isAbove(valueOf("issuer_revocations_recorded_total") ?? 0, 0)
        assert.isAbove(valueOf("issuer_lists", { state: "fresh" }) ?? 0, 0)
        assert.isAtLeast(valueOf("issuer_list_overdue_seconds") ?? -1, 0)
      })
    )
  })

  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("are not asked for unless that is wanted, nor where it is not allowed", () =>
      Effect.gen(function* () {
        const { databaseUrl } = yield* Control
        const { agent, issuer } = yield* publishing((agent) => listText(agent, []))
        assertRefused(yield* copyOf(agent), 404, "NOT_FOUND")
        const { REVOCATION_MIRROR_ALLOW_CIDRS: _, ...wanted } = environment
        // What is allowed to webhooks is not allowed here.
        const guarded = yield* startOn(databaseUrl, { ...wanted, WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8" })
        yield* eventually(rowsOf, ({ issuers }) => issuers.some(({ failure }) => failure?.kind === "refused"))
        yield* guarded.service.kill
        assert.lengthOf(issuer.requests, 0)
        yield* startOn(databaseUrl, environment)
        yield* asked(issuer, 1)
      })
    )
  })
})
