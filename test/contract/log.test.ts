import { randomUUID } from "node:crypto"
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { verifyEvent } from "../../src/client/log-event.ts"
import { parseVerifierKey } from "../../src/client/log-note.ts"
import { LogRefused } from "../../src/client/log-refusal.ts"
import { verifyConsistency, verifyInclusion } from "../../src/client/log-tree.ts"
import { checkpointOf, leavesOf, logOf, vkeyOf } from "../support/log/client.ts"
import { noteKey } from "../support/log/MemoryLog.ts"
import * as naive from "../support/log/naive-tree.ts"
import { startWitness } from "../support/log/TestWitness.ts"
import { verifyLog } from "../support/log/verify-log.ts"
import { eventually } from "../support/db/eventually.ts"
import { freshDatabase } from "../support/db/TestDb.ts"
import { outcome, read, send, sendTo } from "../support/service/client.ts"
import { assertRefused } from "../support/service/envelope.ts"
import { ingest } from "../support/service/events.ts"
import { parseExposition } from "../support/service/exposition.ts"
import { anyService, Control, isRemote, ownService, Service, startOn } from "../support/service/Service.ts"

const base64 = (text: string) => Buffer.from(text, "base64")

/** Reports so many events; their ids, and the position of the last. */
const report = (count: number, over: object = {}) =>
  Effect.gen(function* () {
    const ids = Array.from({ length: count }, () => randomUUID())
    const { position } = yield* ingest(
      ids.map((id, n) => ({
        id,
        type: "logged",
        payload: { n, text: "ü\u2028" },
        grants: ["b", "a"],
        ...over
      }))
    )
    return { ids, seq: Number(position?.split(".")[1]) }
  })

const trust = Effect.gen(function* () {
  const vkey = yield* vkeyOf(yield* Service)
  return { key: yield* Effect.promise(() => parseVerifierKey(vkey)) }
})

const textOf = (path: string) => Effect.map(send(path, { key: true }), ({ text }) => text)

interface ProofJson {
  readonly logIndex: number
  readonly treeSize: number
  readonly leafHash: string
  readonly hashes: ReadonlyArray<string>
  readonly rootHash: string
  readonly checkpoint: string
  readonly entry: string
  readonly salt: string | null
}

interface Verification {
  readonly verified: boolean
  readonly checkedCount: number
  readonly brokenAtId: string | null
  readonly brokenAtSeq: number | null
  readonly reason: string | null
  readonly nextFrom: number | null
  readonly checkpoint: string
}

const verifyFrom = (query = "") => read<Verification>(`/api/audit/verify${query}`)

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("the transparency log", (it) => {
  it.effect("has a signed checkpoint that anyone may read, and that no cache keeps for long", () =>
    Effect.gen(function* () {
      const headers = { authorization: "Bearer wrong" }
      const answer = yield* send("/log/checkpoint", { headers })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["content-type"], "text/plain; charset=utf-8")
      assert.strictEqual(answer.headers["access-control-allow-origin"], "*")
      assert.match(String(answer.headers["cache-control"]), /^public, max-age=[1-5]$/)
      const { origin } = yield* checkpointOf(yield* Service)
      assert.isTrue(answer.text.startsWith(`${origin}\n`))
      const key = yield* send("/log/key")
      assert.strictEqual(key.headers["content-type"], "text/plain; charset=utf-8")
      assert.isTrue(key.text.startsWith(`${origin}+`) && key.text.endsWith("\n"))
      const head = yield* send("/log/checkpoint", { method: "HEAD" })
      assert.deepEqual([head.status, head.text], [200, ""])
    })
  )

  it.effect("takes an event in within two seconds", () =>
    Effect.gen(function* () {
      for (let turn = 0; turn < 3; turn += 1) {
        const { seq } = yield* report(3)
        const begun = performance.now()
        yield* logOf(yield* Service, seq)
        assert.isBelow(performance.now() - begun, 2000)
      }
    })
  )

  it.effect("has a tree whose tiles hash to the signed root", () =>
    Effect.gen(function* () {
      const service = yield* Service
      const { seq } = yield* report(400)
      yield* report(137)
      yield* logOf(service, seq + 137)
      const { root, size } = yield* checkpointOf(service)
      const leaves = yield* leavesOf(service, size)
      assert.strictEqual(Buffer.compare(naive.rootOf(leaves), root), 0)
      for (const [place, hashes] of naive.tilesOf(leaves)) {
        const [level = "", index = ""] = place.split("/")
        const width = hashes.length / 32
        const path = `/log/tile/${level}/${index.padStart(3, "0")}${width === 256 ? "" : `.p/${width}`}`
        const tile = yield* send(path, { headers: { authorization: "Bearer wrong" } })
        assert.strictEqual(Buffer.compare(tile.bytes, hashes), 0, path)
        assert.strictEqual(tile.headers["content-type"], "application/octet-stream")
        assert.strictEqual(tile.headers["cache-control"], "public, max-age=31536000, immutable")
        assert.strictEqual(tile.headers["access-control-allow-origin"], "*")
      }
      // Partial tiles stay when the full one is there.
      const first = yield* send("/log/tile/0/000.p/7")
      assert.strictEqual(Buffer.compare(first.bytes, Buffer.concat(leaves.slice(0, 7))), 0)
    })
  )

  it.effect("has no tile that its tree has not, and none under another spelling", () =>
    Effect.gen(function* () {
      const { size } = yield* checkpointOf(yield* Service)
      const last = `${Math.floor(size / 256)}`.padStart(3, "0")
      for (const path of [
        `0/${last}`,
        "0/x999/999",
        "5/000",
        "63/000",
        "64/000",
        "0/0",
        "0/x000/000",
        "00/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/1x",
        "0/000/",
        "0/%2e%2e/000",
        "entries",
        "-1/000"
      ])
        assertRefused(yield* send(`/log/tile/${path}`), 404, "NOT_FOUND")
      for (const path of ["/log", "/log/", "/log/tile", "/log/tile/0", "/log/checkpoint/", "/log/tile/0/"])
        assertRefused(yield* send(path), 404, "NOT_FOUND")
      assertRefused(yield* send("/log/checkpoint", { method: "POST", body: "{}" }), 405, "METHOD_NOT_ALLOWED")
    })
  )

  it.effect("shows entries to those who may read events, and to nobody else", () =>
    Effect.gen(function* () {
      const service = yield* Service
      yield* logOf(service, (yield* report(300)).seq)
      for (const path of ["entries/000", "%65ntries/000", "entries/000.p/3", "entries/nonsense"])
        assertRefused(yield* send(`/log/tile/${path}`), 401, "INVALID_API_KEY")
      const leaves = yield* leavesOf(service, 256)
      for (const [path, width] of [
        ["000", 256],
        ["000.p/9", 9]
      ] as const) {
        const { bytes, headers } = yield* send(`/log/tile/entries/${path}`, { key: true })
        assert.strictEqual(headers["content-type"], "application/octet-stream")
        assert.match(String(headers["cache-control"]), /^private, /)
        const entries: Array<Buffer> = []
        for (let at = 0; at < bytes.length; at += 2 + bytes.readUInt16BE(at))
          entries.push(bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at)))
        assert.deepEqual(entries.map(naive.leafOf), leaves.slice(0, width))
        const coded = { key: true, headers: { "accept-encoding": "gzip" } }
        const zipped = yield* send(`/log/tile/entries/${path}`, coded)
        assert.strictEqual(zipped.headers["content-encoding"], "gzip")
        assert.strictEqual(Buffer.compare(gunzipSync(zipped.bytes), bytes), 0)
      }
      const { size } = yield* checkpointOf(service)
      const none = `${Math.floor(size / 256) + 1}`.padStart(3, "0")
      assertRefused(yield* send(`/log/tile/entries/${none}`, { key: true }), 404, "NOT_FOUND")
    })
  )

  it.effect("proves each event, at once after it was stored, to who has nothing but the key", () =>
    Effect.gen(function* () {
      const token = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJhIn0.AAAA"
      const { ids, seq } = yield* report(3, {
        payload: { n: 1.5e300, token, "10": [null, "\ud83d\ude00"] },
        aidA: "a"
      })
      for (const [n, id] of ids.entries()) {
        const proof = yield* send(`/api/events/${id}/proof`, { key: true })
        assert.strictEqual(proof.headers["content-type"], "text/plain; charset=utf-8")
        const trusted = yield* trust
        const event = yield* textOf(`/api/events/${id}`)
        const proven = yield* Effect.promise(() => verifyEvent(event, proof.text, trusted))
        assert.strictEqual(proven.index, seq - ids.length + n)
        assert.isFalse(proven.erased)
      }
    })
  )

  it.effect("proves the same in JSON", () =>
    Effect.gen(function* () {
      const { ids, seq } = yield* report(1)
      const headers = { accept: "application/json" }
      const answer = yield* send(`/api/events/${ids[0]}/proof`, { key: true, headers })
      assert.strictEqual(answer.headers["content-type"], "application/json")
      const proof = answer.json<ProofJson>()
      assert.hasAllKeys(proof, [
        "logIndex",
        "treeSize",
        "leafHash",
        "hashes",
        "rootHash",
        "checkpoint",
        "entry",
        "salt"
      ])
      assert.strictEqual(proof.logIndex, seq - 1)
      const leaf = naive.leafOf(proof.entry)
      assert.deepEqual(base64(proof.leafHash), leaf)
      const hashes = proof.hashes.map(base64)
      const root = base64(proof.rootHash)
      yield* Effect.promise(() =>
        verifyInclusion({ index: proof.logIndex, size: proof.treeSize, hashes }, leaf, root)
      )
      assert.isTrue(proof.checkpoint.includes(`\n${proof.treeSize}\n${proof.rootHash}\n\n`))
    })
  )

  it.effect("proves no other event, no altered one and no other place", () =>
    Effect.gen(function* () {
      const { ids } = yield* report(2, { aidA: "alice", namespace: "n", ts: "2026-01-02T03:04:05.678Z" })
      const trusted = yield* trust
      const [event = "", other = ""] = yield* Effect.forEach(ids, (id) => textOf(`/api/events/${id}`))
      const [proof = "", otherProof = ""] = yield* Effect.forEach(ids, (id) =>
        textOf(`/api/events/${id}/proof`)
      )
      const judge = (shown: string, proven: string) =>
        Effect.promise(async () => {
          try {
            await verifyEvent(shown, proven, trusted)
            return "ok"
          } catch (error) {
            return error instanceof LogRefused ? error.code : String(error)
          }
        })
      assert.strictEqual(yield* judge(event, proof), "ok")
      assert.strictEqual(yield* judge(other, proof), "EVENT")
      assert.strictEqual(yield* judge(event, otherProof), "EVENT")
      const parsed = JSON.parse(event) as Record<string, unknown>
      const changes: ReadonlyArray<object> = [
        { type: "x" },
        { ts: "2026-01-02T03:04:05.679Z" },
        { aidA: "mallory" },
        { aidB: "mallory" },
        { sessionId: "s" },
        { runId: "r" },
        { namespace: null },
        { grants: ["a", "b"] },
        { source: "cp" },
        { reportedBy: "system" },
        { payload: { n: 7 } },
        { payload: {} },
        { artifacts: {} },
        { seq: Number(parsed["seq"]) + 1 }
      ]
      for (const change of changes)
        assert.strictEqual(
          yield* judge(JSON.stringify({ ...parsed, ...change }), proof),
          "EVENT",
          JSON.stringify(change)
        )
      const lines = proof.split("\n")
      const otherLines = otherProof.split("\n")
      const withLine = (at: number, line: string) => lines.with(at, line).join("\n")
      // Another place, another path, another entry under the same proof, another checkpoint.
      assert.strictEqual(yield* judge(event, withLine(2, `index ${Number(parsed["seq"])}`)), "EVENT")
      const moved = JSON.stringify({ ...parsed, seq: Number(parsed["seq"]) + 1 })
      assert.strictEqual(yield* judge(moved, withLine(2, `index ${Number(parsed["seq"])}`)), "PROOF")
      assert.strictEqual(yield* judge(event, withLine(3, Buffer.alloc(32).toString("base64"))), "PROOF")
      assert.strictEqual(yield* judge(other, withLine(1, otherLines[1] ?? "")), "EVENT")
      assert.strictEqual(
        yield* judge(event, proof.replace(/\n(\d+)\n(?=\S+\n\n\u2014)/, "\n1\n")),
        "SIGNATURE"
      )
    })
  )

  it.effect("proves nothing about events that it does not have", () =>
    Effect.gen(function* () {
      for (const id of [randomUUID(), "not-a-uuid", "00000000-0000-0000-0000-000000000000"])
        assertRefused(yield* send(`/api/events/${id}/proof`, { key: true }), 404, "NOT_FOUND")
      assert.strictEqual(yield* outcome(`/api/events/${randomUUID()}/proof`), "401 INVALID_API_KEY")
    })
  )

  it.effect("proves that it extends what it was", () =>
    Effect.gen(function* () {
      const service = yield* Service
      yield* logOf(service, (yield* report(40)).seq)
      const { note, root, size } = yield* checkpointOf(service)
      const leaves = yield* leavesOf(service, size)
      interface Consistency {
        readonly from: number
        readonly to: number
        readonly fromRootHash: string
        readonly toRootHash: string
        readonly hashes: ReadonlyArray<string>
        readonly checkpoint: string
      }
      const ask = (query: string) => read<Consistency>(`/log/consistency${query}`)
      for (const [from, to] of [
        [0, 1],
        [1, 2],
        [3, size],
        [size >> 1, size],
        [size - 1, size],
        [size, size],
        [8, 13]
      ] as const) {
        const answer = yield* ask(`?from=${from}&to=${to}`)
        const first = { size: from, root: naive.rootOf(leaves.slice(0, from)) }
        const second = { size: to, root: naive.rootOf(leaves.slice(0, to)) }
        assert.deepEqual([base64(answer.fromRootHash), base64(answer.toRootHash)], [first.root, second.root])
        yield* Effect.promise(() => verifyConsistency(first, second, answer.hashes.map(base64)))
      }
      const whole = yield* ask("")
      assert.deepEqual([whole.from, whole.hashes], [0, []])
      assert.isAtLeast(whole.to, size)
      assert.strictEqual(base64((yield* ask(`?to=${size}`)).toRootHash).compare(root), 0)
      assert.isAbove(note.length, 0)
      for (const query of [
        "?from=2&to=1",
        "?from=x",
        "?from=-1",
        "?from=1.5",
        "?to=99999999999999999",
        "?to=999999999"
      ])
        assertRefused(yield* send(`/log/consistency${query}`), 400, "BAD_REQUEST")
    })
  )

  it.effect("is what stored events are compared with", () =>
    Effect.gen(function* () {
      const { ids, seq } = yield* report(5)
      assert.lengthOf(ids, 5)
      yield* logOf(yield* Service, seq)
      const whole = yield* verifyFrom()
      assert.isTrue(whole.verified)
      assert.deepEqual([whole.brokenAtId, whole.brokenAtSeq, whole.reason], [null, null, null])
      assert.isAtLeast(whole.checkedCount, 5)
      assert.isTrue(whole.checkpoint.includes("\n\n\u2014 "))
      const part = yield* verifyFrom(`?from=${seq - 4}&to=${seq - 1}`)
      assert.deepEqual([part.verified, part.checkedCount, part.nextFrom], [true, 4, null])
      for (const query of ["?from=x", "?from=5&to=4", "?to=-1", "?from=1e3"])
        assertRefused(yield* send(`/api/audit/verify${query}`, { key: true }), 400, "BAD_REQUEST")
      assert.strictEqual(yield* outcome("/api/audit/verify"), "401 INVALID_API_KEY")
    })
  )
})

const folder = mkdtempSync(join(tmpdir(), "aitp-verify-log-"))
const fileOf = (name: string) => join(folder, `${name}-${randomUUID()}`)

describe.skipIf(isRemote)("the command that verifies the log", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    const args = Effect.gen(function* () {
      const { url } = yield* Service
      return ["--url", url, "--vkey", yield* vkeyOf(yield* Service)]
    })

    it.effect("follows it from tree to tree, and proves an event on the way", () =>
      Effect.gen(function* () {
        const state = ["--state", fileOf("state")]
        const first = yield* report(300)
        yield* logOf(yield* Service, first.seq)
        const fresh = yield* verifyLog(...(yield* args), ...state)
        assert.deepEqual([fresh.code, fresh.said.includes("from the first leaf on")], [0, true], fresh.said)
        const { ids } = yield* report(10)
        const again = yield* verifyLog(...(yield* args), ...state, "--event", ids[3] ?? "")
        assert.deepEqual([again.code, again.said.includes("extends the remembered")], [0, true], again.said)
        assert.include(again.said, "the event is leaf")
        assert.strictEqual((yield* verifyLog(...(yield* args), ...state, "--recheck")).code, 0)
      })
    )

    it.effect("verifies a kept proof without the service, also once the payload is erased", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { ids } = yield* report(1)
        const id = ids[0] ?? ""
        const vkey = ["--vkey", yield* vkeyOf(yield* Service)]
        const [record, proof] = [fileOf("record"), fileOf("proof")]
        const keep = Effect.gen(function* () {
          writeFileSync(record, yield* textOf(`/api/events/${id}`))
          writeFileSync(proof, yield* textOf(`/api/events/${id}/proof`))
        })
        yield* keep
        const kept = yield* verifyLog(...vkey, "--record", record, "--proof", proof)
        assert.strictEqual(kept.code, 0, kept.said)
        yield* sql`update audit_events set payload = null where id = ${id}::uuid`
        yield* keep
        const erased = yield* verifyLog(...vkey, "--record", record, "--proof", proof)
        assert.deepEqual([erased.code, erased.said.includes("erased")], [0, true], erased.said)
        const headers = { accept: "application/json" }
        assert.isNull((yield* send(`/api/events/${id}/proof`, { key: true, headers })).json<ProofJson>().salt)
        writeFileSync(record, (yield* textOf(`/api/events/${id}`)).replace('"logged"', '"forged"'))
        const forged = yield* verifyLog(...vkey, "--record", record, "--proof", proof)
        assert.deepEqual([forged.code, forged.said.includes("EVENT")], [1, true], forged.said)
      })
    )

    it.effect("fails when another log answers: forked, taken back or signed by somebody else", () =>
      Effect.gen(function* () {
        const state = fileOf("state")
        yield* logOf(yield* Service, (yield* report(20)).seq)
        assert.strictEqual((yield* verifyLog(...(yield* args), "--state", state)).code, 0)
        const [, , ...vkey] = yield* args
        // The same name and key over another database.
        const other = yield* startOn(yield* freshDatabase)
        const against = (...more: ReadonlyArray<string>) =>
          verifyLog("--url", other.url, ...vkey, "--state", state, ...more)
        const rewound = yield* against()
        assert.deepEqual([rewound.code, rewound.said.includes("REWIND")], [1, true], rewound.said)
        const body = Array.from({ length: 500 }, (_, n) => ({ type: "other", payload: { n } }))
        yield* sendTo(other, "/api/events", { key: true, body })
        yield* logOf(other, 500)
        const forked = yield* against()
        assert.deepEqual([forked.code, forked.said.includes("FORK")], [1, true], forked.said)
        const stranger = yield* startOn(yield* freshDatabase, { LOG_SIGNING_SEED_HEX: "ab".repeat(32) })
        const foreign = yield* verifyLog("--url", stranger.url, ...vkey)
        assert.deepEqual([foreign.code, foreign.said.includes("SIGNATURE")], [1, true], foreign.said)
      }).pipe(Effect.scoped)
    )

    it.effect("tells what cannot be verified from what must not be believed", () =>
      Effect.gen(function* () {
        const [, , ...vkey] = yield* args
        const { url } = yield* Service
        for (const wrong of [
          [],
          ["--url", url],
          ["--url", url, "--vkey", "nonsense"],
          ["--url", "http://127.0.0.1:9", ...vkey],
          ["--url", url, ...vkey, "--event", randomUUID()],
          ["--url", url, ...vkey, "--quorum", "1"]
        ])
          assert.strictEqual((yield* verifyLog(...wrong)).code, 2, wrong.join(" "))
      })
    )

    it.effect("fails on altered tiles, and the service names altered events", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const { ids, seq } = yield* report(30)
        yield* logOf(yield* Service, seq)
        const id = ids[7] ?? ""
        yield* sql`update audit_events set aid_a = 'mallory' where id = ${id}::uuid`
        const broken = yield* verifyFrom()
        assert.deepEqual([broken.verified, broken.brokenAtId, broken.reason], [false, id, "columns"])
        assert.strictEqual(broken.brokenAtSeq, seq - 22)
        const found = yield* verifyLog(...(yield* args), "--event", id)
        assert.deepEqual([found.code, found.said.includes("PROOF")], [1, true], found.said)
        yield* sql`update audit_events set aid_a = null where id = ${id}::uuid`
        assert.isTrue((yield* verifyFrom()).verified)
        yield* sql`update log_tiles set hashes = overlay(hashes placing sha256('x') from 1) where level = 0 and index = 0`
        const altered = yield* verifyLog(...(yield* args))
        assert.deepEqual([altered.code, altered.said.includes("TILE")], [1, true], altered.said)
        assert.strictEqual((yield* verifyFrom()).reason, "tree")
      })
    )
  })
})

describe.skipIf(isRemote)("a log of two replicas", () => {
  layer(ownService({ LEASE_SECS: "1" }), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("is one, is continued by the other when one dies, and is measured", () =>
      Effect.gen(function* () {
        const first = yield* Service
        const { databaseUrl, process } = yield* Control
        const second = yield* startOn(databaseUrl, { LEASE_SECS: "1" })
        yield* logOf(second, (yield* report(10)).seq)
        const before = yield* checkpointOf(first)
        yield* process.kill
        yield* sendTo(second, "/api/events", { key: true, body: [{ type: "later" }] })
        const after = yield* logOf(second, before.size + 1)
        const leaves = yield* leavesOf(second, after.size)
        assert.strictEqual(Buffer.compare(naive.rootOf(leaves), after.root), 0)
        assert.strictEqual(Buffer.compare(naive.rootOf(leaves.slice(0, before.size)), before.root), 0)
        const metrics = yield* eventually(
          Effect.map(sendTo(second, "/api/metrics"), ({ text }) => parseExposition(text)),
          ({ samples }) =>
            samples.some(({ name, value }) => name.endsWith("_log_tree_size") && value === after.size)
        )
        const value = (name: string) =>
          metrics.samples.find((sample) => sample.name === `aitp_control_plane_${name}`)?.value
        assert.strictEqual(value("log_checkpoint_size"), after.size)
        assert.strictEqual(value("log_integration_lag_events"), 0)
        assert.strictEqual(value("log_integration_lag_seconds"), 0)
        assert.strictEqual(value("log_audit_failures"), 0)
        assert.strictEqual(value("log_witness_quorum_met"), 1)
        assert.strictEqual(value("log_integration_refused"), 0)
        assert.isDefined(value("log_checkpoint_age_seconds"))
      }).pipe(Effect.scoped)
    )
  })
})

describe.skipIf(isRemote)("a log with a witness", () => {
  const logKey = noteKey("log.test/witnessed", 7)
  const witnessKey = noteKey("witness.test", 8, 4)

  layer(Layer.empty, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("is served with cosignatures, and without them when the witness is gone", () =>
      Effect.gen(function* () {
        const witness = yield* startWitness(witnessKey, () => [logKey.vkey])
        const log = yield* startOn(yield* freshDatabase, {
          LOG_ORIGIN: logKey.name,
          LOG_SIGNING_SEED_HEX: "07".repeat(32),
          LOG_WITNESSES: `${witnessKey.vkey} ${witness.url}`,
          LOG_WITNESS_QUORUM: "1",
          WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8"
        })
        assert.strictEqual(yield* vkeyOf(log), logKey.vkey)
        const post = sendTo(log, "/api/events", { key: true, body: [{ type: "witnessed" }] })
        const asking = ["--witness", witnessKey.vkey, "--quorum", "1"]
        const verify = verifyLog("--url", log.url, "--vkey", logKey.vkey, ...asking)
        const metric = (name: string) =>
          Effect.map(
            sendTo(log, "/api/metrics"),
            ({ text }) =>
              parseExposition(text).samples.find((sample) => sample.name === `aitp_control_plane_${name}`)
                ?.value
          )
        yield* post
        yield* logOf(log, 1)
        const cosigned = yield* eventually(verify, ({ code }) => code === 0)
        assert.include(cosigned.said, "cosigned by 1 of 1 witnesses")
        yield* eventually(metric("log_witness_quorum_met"), (value) => value === 1)
        assert.strictEqual(yield* metric("log_witness_behind"), 0)

        witness.manner = "silent"
        const begun = performance.now()
        yield* post
        yield* logOf(log, 2)
        assert.isBelow(performance.now() - begun, 3000)
        const alone = yield* verify
        assert.deepEqual([alone.code, alone.said.includes("WITNESS")], [1, true], alone.said)
        yield* eventually(metric("log_witness_quorum_met"), (value) => value === 0)
        yield* eventually(metric("log_witness_failing"), (value) => value === 1)
      }).pipe(Effect.scoped)
    )
  })
})
