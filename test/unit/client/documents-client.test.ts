import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type RefusalCode, RevocationRefused } from "../../../src/client/refusal.ts"
import { applyRevocationDelta } from "../../../src/client/revocation-delta.ts"
import { mightContain, readRevocationFilter } from "../../../src/client/revocation-filter.ts"
import { isRevoked, readRevocationList } from "../../../src/client/revocation-list.ts"
import { readRevocationStatus } from "../../../src/client/revocation-status.ts"
import { codedSet } from "../../../src/revocation/filter-set.ts"
import {
  common,
  digestOf,
  listText,
  publishedAt,
  publisher,
  TTL_SECS
} from "../../support/revocation-feeds/documents.ts"
import { type Entry, jtiOf } from "../../support/revocation-feeds/histories.ts"

const cp = publisher("client")
const other = publisher("another control plane")

const revoked = jtiOf(1)
const entry: Entry = { jti: revoked, revoked_at: 1_699_000_000, reason: "key compromise" }
const second: Entry = { jti: jtiOf(2), revoked_at: 1_699_000_001 }

const now = publishedAt(7) + 5
const issuer = cp.aid

const list = listText(cp, 7, [entry])
const read = (text: string) => readRevocationList(text, issuer)

const deltaBody = (overrides: object = {}) => ({
  ...common(cp, 8),
  from: 7,
  to: 8,
  prev_sha256: digestOf([entry]),
  entries_sha256: digestOf([entry, second]),
  added: [second],
  removed: [],
  ...overrides
})
const delta = (overrides?: object) => cp.sign("revocation_delta", deltaBody(overrides))
/** The list of version 7, which a first delta has told its version. */
const held = async () =>
  applyRevocationDelta(
    await read(list),
    delta({ ...common(cp, 7), to: 7, entries_sha256: digestOf([entry]), added: [] })
  )
const applied = async (overrides?: object) => applyRevocationDelta(await held(), delta(overrides))

const filterBody = (overrides: object = {}) => ({
  ...common(cp, 7),
  list_version: 7,
  entries: 1,
  entries_sha256: digestOf([entry]),
  algorithm: "gcs-sha256-p20",
  false_positive_rate: "1/1048576",
  data: Buffer.from(codedSet([revoked], Buffer.from(digestOf([entry]), "base64url"))).toString("base64url"),
  ...overrides
})
const filter = (overrides?: object) => cp.sign("revocation_filter", filterBody(overrides))

const statusBody = (overrides: object = {}) => ({
  ...common(cp, 7),
  list_version: 7,
  jti: revoked,
  revoked: true,
  revoked_at: 1_699_000_000,
  reason: "key compromise",
  ...overrides
})
const status = (overrides?: object) => cp.sign("revocation_status", statusBody(overrides))

/** Every document of the service, and what a client does with it. */
const readers: ReadonlyArray<
  readonly [name: string, text: string, read: (text: string) => Promise<unknown>]
> = [
  ["list", list, read],
  ["delta", delta(), async (text) => applyRevocationDelta(await read(list), text)],
  ["filter", filter(), (text) => readRevocationFilter(text, issuer)],
  ["status", status(), (text) => readRevocationStatus(text, { issuer, jti: revoked, now })]
]

const refusal = async (attempt: () => unknown): Promise<RefusalCode | "none"> => {
  try {
    await attempt()
    return "none"
  } catch (error) {
    assert.instanceOf(error, RevocationRefused)
    return error.code
  }
}

describe.each(readers)("a client reading the %s", (name, text, readText) => {
  const wrapper = `revocation_${name}`

  it("accepts what the control plane signed", async () => {
    assert.strictEqual(await refusal(() => readText(text)), "none")
  })

  it("refuses it with any one character altered", async () => {
    const altered = fc
      .tuple(fc.nat({ max: text.length - 1 }), fc.constantFrom(...'0aA-_z9:,"{}[] '))
      .filter(([at, character]) => text[at] !== character)
      .map(([at, character]) => text.slice(0, at) + character + text.slice(at + 1))
    await fc.assert(
      fc.asyncProperty(altered, async (changed) => {
        assert.include(["MALFORMED", "ISSUER", "SIGNATURE"], await refusal(() => readText(changed)))
      }),
      { numRuns: 300 }
    )
  })

  it("refuses another issuer's, whoever it says it is from", async () => {
    const body = (JSON.parse(text) as Record<string, object>)[wrapper] ?? {}
    assert.strictEqual(
      await refusal(() => readText(other.sign(wrapper, { ...body, issuer: other.aid }))),
      "ISSUER"
    )
    assert.strictEqual(await refusal(() => readText(other.sign(wrapper, body))), "SIGNATURE")
  })

  it("knows its issuer in the other spelling of the same key", async () => {
    const body = (JSON.parse(text) as Record<string, object>)[wrapper] ?? {}
    const tagged = cp.aid.replace("aid:pubkey:", "aid:pubkey:ed25519:")
    assert.strictEqual(await refusal(() => readText(cp.sign(wrapper, { ...body, issuer: tagged }))), "none")
    const p256 = cp.aid.replace("aid:pubkey:", "aid:pubkey:p256:")
    assert.strictEqual(await refusal(() => readText(cp.sign(wrapper, { ...body, issuer: p256 }))), "ISSUER")
  })

  it("refuses signed documents that are not of the documented shape", async () => {
    const body = (JSON.parse(text) as Record<string, Record<string, unknown>>)[wrapper] ?? {}
    for (const member of Object.keys(body)) {
      const { [member]: _left, ...rest } = body
      if (member === "reason") continue
      assert.notStrictEqual(await refusal(() => readText(cp.sign(wrapper, rest))), "none", `no ${member}`)
      for (const value of [null, 1.5, -1, "x", {}, ["x"]]) {
        const code = await refusal(() => readText(cp.sign(wrapper, { ...body, [member]: value })))
        assert.notStrictEqual(code, "none", `${member}: ${JSON.stringify(value)}`)
      }
    }
    assert.strictEqual(await refusal(() => readText(cp.sign(wrapper, { ...body, more: 1 }))), "MALFORMED")
    for (const wire of ["", "null", "[]", "{}", `{"${wrapper}":{}}`, `[${text}]`, `${text} x`]) {
      assert.strictEqual(await refusal(() => readText(wire)), "MALFORMED", wire.slice(0, 20))
    }
  })

  it("takes no other kind of document for it", async () => {
    for (const [otherName, otherText] of readers) {
      if (otherName === name) continue
      assert.strictEqual(await refusal(() => readText(otherText)), "MALFORMED")
      const renamed = otherText.replace(`{"revocation_${otherName}"`, `{"${wrapper}"`)
      assert.strictEqual(await refusal(() => readText(renamed)), "MALFORMED", otherName)
    }
  })
})

describe("a client that holds a list", () => {
  it("finds what is on it, in any case, and nothing else", async () => {
    const held = await read(list)
    assert.isTrue(isRevoked(held, revoked, { now }))
    assert.isTrue(isRevoked(held, revoked.toUpperCase(), { now }))
    assert.isFalse(isRevoked(held, second.jti, { now }))
    assert.strictEqual(await refusal(() => isRevoked(held, "x", { now })), "MALFORMED")
  })

  it("gets no answer from one that is too old or has expired", async () => {
    const held = await read(list)
    const at = (secs: number, maxAgeSecs?: number) => () =>
      isRevoked(held, revoked, { now: publishedAt(7) + secs, ...(maxAgeSecs && { maxAgeSecs }) })
    assert.strictEqual(await refusal(at(300)), "none")
    assert.strictEqual(await refusal(at(301)), "STALE")
    assert.strictEqual(await refusal(at(TTL_SECS - 1, TTL_SECS)), "none")
    assert.strictEqual(await refusal(at(TTL_SECS, 2 * TTL_SECS)), "EXPIRED")
  })

  it("learns its version from the first delta that starts from its entries", async () => {
    const full = await read(list)
    assert.isUndefined(full.version)
    assert.strictEqual((await held()).version, 7)
    const next = await applyRevocationDelta(full, delta({ from: 6 }))
    assert.strictEqual(next.version, 8)
    assert.strictEqual(
      await refusal(() => applyRevocationDelta(full, delta({ prev_sha256: digestOf([second]) }))),
      "CHAIN"
    )
  })

  it("replaces it by none that is older", async () => {
    const older = listText(cp, 6, [])
    assert.strictEqual(await refusal(async () => readRevocationList(older, issuer, await held())), "STALE")
    assert.strictEqual(await refusal(async () => readRevocationList(list, issuer, await held())), "none")
  })

  it("refuses lists whose entries are out of order or doubled", async () => {
    for (const entries of [
      [second, entry],
      [entry, entry],
      [entry, { ...entry, revoked_at: 1_699_000_009 }]
    ]) {
      assert.strictEqual(await refusal(() => read(listText(cp, 7, entries))), "MALFORMED")
    }
  })

  it("follows a delta to the next version and its freshness", async () => {
    const next = await applied()
    assert.deepEqual([...next.entries.values()], [entry, second])
    assert.strictEqual(next.version, 8)
    assert.isTrue(isRevoked(next, second.jti, { now: publishedAt(8) + 300 }))
  })

  it("stays fresh by deltas that change nothing", async () => {
    const same = { entries_sha256: digestOf([entry]), added: [] }
    const next = await applied(same)
    assert.strictEqual(next.publishedAt, publishedAt(8))
    assert.deepEqual([...next.entries.values()], [entry])
    assert.strictEqual((await applied({ ...same, ...common(cp, 7), to: 7 })).version, 7)
  })

  it("refuses deltas that do not continue it or do not lead where they say", async () => {
    const rows: ReadonlyArray<readonly [string, object]> = [
      ["another start", { from: 6 }],
      ["a later start", { from: 8 }],
      ["backwards", { to: 6 }],
      ["from other entries", { prev_sha256: digestOf([second]) }],
      ["to other entries", { entries_sha256: digestOf([second]) }],
      ["adds what is held", { added: [entry, second] }],
      ["removes what is not held", { removed: [jtiOf(3)] }],
      ["leaves something out", { added: [] }],
      ["signed before the list", { published_at: publishedAt(7) - 1 }]
    ]
    for (const [why, overrides] of rows)
      assert.strictEqual(await refusal(() => applied(overrides)), "CHAIN", why)
    const unordered = { removed: [jtiOf(5), jtiOf(5)] }
    assert.strictEqual(await refusal(() => applied(unordered)), "MALFORMED")
  })
})

describe("a client that holds a filter", () => {
  it("learns what is not on the list, and what may be", async () => {
    const held = await readRevocationFilter(filter(), issuer)
    assert.isTrue(await mightContain(held, revoked, { now }))
    assert.isTrue(await mightContain(held, revoked.toUpperCase(), { now }))
    for (let n = 2; n < 200; n += 1) assert.isFalse(await mightContain(held, jtiOf(n), { now }))
  })

  it("learns nothing from one that is too old or has expired", async () => {
    const held = await readRevocationFilter(filter(), issuer)
    const at = (secs: number, maxAgeSecs = 300) =>
      refusal(() => mightContain(held, revoked, { now: publishedAt(7) + secs, maxAgeSecs }))
    assert.strictEqual(await at(301), "STALE")
    assert.strictEqual(await at(TTL_SECS, 2 * TTL_SECS), "EXPIRED")
  })

  it("replaces it by none that is older", async () => {
    const held = await readRevocationFilter(filter(), issuer)
    const older = filter({ ...common(cp, 6), list_version: 6 })
    assert.strictEqual(await refusal(() => readRevocationFilter(older, issuer, held)), "STALE")
    assert.strictEqual(await refusal(() => readRevocationFilter(filter(), issuer, held)), "none")
  })

  it("knows that an empty list holds nothing", async () => {
    const empty = await readRevocationFilter(
      filter({ entries: 0, entries_sha256: digestOf([]), data: "" }),
      issuer
    )
    assert.isFalse(await mightContain(empty, revoked, { now }))
  })

  it("refuses sets that do not hold what the document says", async () => {
    for (const overrides of [
      { entries: 2 },
      { entries: 0 },
      { data: "" },
      { data: "AA" },
      { data: "====" }
    ]) {
      assert.strictEqual(await refusal(() => readRevocationFilter(filter(overrides), issuer)), "MALFORMED")
    }
  })
})

describe("a client that asks about one TCT", () => {
  it("learns when it was revoked and why, or that it was not", async () => {
    assert.include(await readRevocationStatus(status(), { issuer, jti: revoked.toUpperCase(), now }), {
      revoked: true,
      revokedAt: 1_699_000_000,
      reason: "key compromise",
      listVersion: 7
    })
    const clean = cp.sign("revocation_status", {
      ...common(cp, 7),
      list_version: 7,
      jti: second.jti,
      revoked: false
    })
    assert.isFalse((await readRevocationStatus(clean, { issuer, jti: second.jti, now })).revoked)
  })

  it("refuses answers about another TCT or an older list, self-contradictions and old answers", async () => {
    const ask = (text: string, at = now, jti = revoked) =>
      refusal(() => readRevocationStatus(text, { issuer, jti, now: at }))
    assert.strictEqual(await ask(status(), now, second.jti), "MALFORMED")
    assert.strictEqual(await ask(status({ revoked: false })), "MALFORMED")
    const since = (listVersion: number) =>
      refusal(() => readRevocationStatus(status(), { issuer, jti: revoked, now, listVersion }))
    assert.strictEqual(await since(7), "none")
    assert.strictEqual(await since(8), "STALE")
    assert.strictEqual(await ask(status(), publishedAt(7) + 301), "STALE")
    assert.strictEqual(await ask(status(), publishedAt(7) + TTL_SECS), "EXPIRED")
  })
})
