import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import type { Principal } from "../../../src/access/Principal.ts"
import { DEFAULT_ORG, type OrgId, type Visibility, visibleToAll } from "../../../src/access/Visibility.ts"
import { Db } from "../../../src/db/Db.ts"
import { IdempotencyKeys } from "../../../src/idempotency/IdempotencyKeys.ts"
import { Anchoring } from "../../../src/trust/Anchoring.ts"
import { KeySets } from "../../../src/trust/KeySets.ts"
import { PinnedKeys } from "../../../src/trust/PinnedKeys.ts"
import { Pinning } from "../../../src/trust/Pinning.ts"
import { TrustAnchors } from "../../../src/trust/TrustAnchors.ts"
import { TrustDocument } from "../../../src/trust/TrustDocument.ts"
import { anchor, operator, TrustSuite } from "../../support/trust/trust.ts"

const ORG = "00000000-0000-8000-8000-0000000000aa"
const PUBKEY = "A".repeat(43)

const ofOrgs = (...orgIds: ReadonlyArray<OrgId>): Visibility => ({ _tag: "orgs", orgIds })

const memberOf = (...orgIds: ReadonlyArray<OrgId>) => ({
  ...operator,
  principal: { ...operator.principal, visibility: ofOrgs(...orgIds) } satisfies Principal
})

const fresh = (name: string) => `${name}-${randomUUID()}`

/** A namespace that an organisation owns. */
const claimed = Effect.fnUntraced(function* (org: OrgId) {
  const namespace = fresh("claimed")
  yield* (yield* Db).sql`insert into namespaces (namespace, org_id) values (${namespace}, ${org}::uuid)`
  return namespace
})

/** The tag of a failure; `ok` without one. */
const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.result(effect), (result) => (Result.isFailure(result) ? result.failure._tag : "ok"))

const auditRows = (targetId: string) =>
  Effect.flatMap(
    Db,
    ({ sql }) => sql<{ readonly action: string; readonly details: unknown }>`
      select action, details from admin_audit_log where target_id = ${targetId} order by created_at, id`
  )

/** A key reserved by a request that was overtaken: somebody else holds it now. */
const lostReservation = Effect.gen(function* () {
  const { reserve } = yield* IdempotencyKeys
  const identity = { scope: "tests", credentialHash: "aa", key: fresh("key") }
  const taken = { fingerprint: Buffer.alloc(32), leaseToken: randomUUID(), leaseMs: 60_000 }
  yield* reserve(identity, taken)
  return { ...identity, leaseToken: randomUUID(), status: 201 }
})

const page = { limit: 1000, offset: 0, after: undefined }

layer(TrustSuite, { timeout: "60 seconds", excludeTestServices: true })("what is trusted", (it) => {
  it.effect("belongs to the owner of its namespace and is hidden from everybody else", () =>
    Effect.gen(function* () {
      const namespace = yield* claimed(ORG)
      const anchors = yield* TrustAnchors
      const pins = yield* PinnedKeys
      const keySets = yield* KeySets
      const { read } = yield* TrustDocument
      const { pin } = yield* Pinning
      const { id } = yield* anchor({ namespace, issuerUrl: "https://issuer.example" })
      yield* pin({ namespace, aid: "agent", pubkey: PUBKEY }, undefined, operator)
      for (const [visibility, seen] of [
        [visibleToAll, true],
        [ofOrgs(ORG), true],
        [ofOrgs(DEFAULT_ORG, ORG), true],
        [ofOrgs(DEFAULT_ORG), false],
        [ofOrgs(), false]
      ] as const) {
        const shown = [
          Option.isSome(yield* anchors.findById(id, visibility)),
          (yield* anchors.list({ namespace, ...page }, visibility)).length === 1,
          Option.isSome(yield* keySets.findByAnchor(id, visibility)),
          Option.isSome(yield* pins.find({ namespace, aid: "agent" }, visibility)),
          (yield* pins.list({ namespace, ...page }, visibility)).length === 1,
          (yield* read(namespace, visibility)).pinned_keys.length === 1
        ]
        assert.deepEqual(new Set(shown), new Set([seen]), JSON.stringify(visibility))
      }
    })
  )

  it.effect("can be changed by nobody else", () =>
    Effect.gen(function* () {
      const namespace = yield* claimed(ORG)
      const anchoring = yield* Anchoring
      const pinning = yield* Pinning
      const [stranger, member] = [memberOf(DEFAULT_ORG), memberOf(ORG)]
      const request = { namespace, issuerUrl: "https://issuer.example" }
      const pinned = { namespace, aid: fresh("agent"), pubkey: PUBKEY }
      const { id } = yield* anchoring.create(request, undefined, member)
      yield* pinning.pin(pinned, undefined, member)
      const attempts = [
        tagOf(anchoring.create(request, undefined, stranger)),
        tagOf(anchoring.update(id, { label: "x" }, stranger)),
        tagOf(anchoring.remove(id, stranger)),
        tagOf(pinning.pin(pinned, undefined, stranger)),
        tagOf(pinning.unpin(pinned, stranger))
      ]
      assert.deepEqual(yield* Effect.all(attempts), [
        "NamespaceNotVisible",
        "TrustAnchorNotFound",
        "TrustAnchorNotFound",
        "NamespaceNotVisible",
        "PinNotFound"
      ])
      assert.lengthOf(yield* auditRows(id), 1)
      assert.lengthOf(yield* auditRows(pinned.aid), 1)
      assert.strictEqual(yield* tagOf(anchoring.remove(id, member)), "ok")
      assert.strictEqual(yield* tagOf(pinning.unpin(pinned, member)), "ok")
    })
  )

  it.effect("is not touched by a request whose reservation another one holds", () =>
    Effect.gen(function* () {
      const anchoring = yield* Anchoring
      const pinning = yield* Pinning
      const lost = yield* lostReservation
      const namespace = fresh("n")
      assert.strictEqual(
        yield* tagOf(anchoring.create({ namespace, issuerUrl: "https://a.example" }, lost, operator)),
        "ReservationLost"
      )
      assert.strictEqual(
        yield* tagOf(pinning.pin({ namespace, aid: namespace, pubkey: PUBKEY }, lost, operator)),
        "ReservationLost"
      )
      assert.deepEqual(yield* (yield* TrustAnchors).list({ namespace, ...page }, visibleToAll), [])
      assert.deepEqual(yield* (yield* PinnedKeys).list({ namespace, ...page }, visibleToAll), [])
      assert.deepEqual(yield* auditRows(namespace), [])
    })
  )

  it.effect("has one anchor per issuer and namespace, whatever races", () =>
    Effect.gen(function* () {
      const { create, update } = yield* Anchoring
      const namespace = fresh("n")
      const issuers = ["https://a.example", "https://b.example", "https://c.example"]
      const made = yield* Effect.forEach(issuers.slice(0, 2), (issuerUrl) => anchor({ namespace, issuerUrl }))
      const acts = Array.from({ length: 60 }, (_, n) => {
        const issuerUrl = issuers[n % 3] ?? ""
        return n % 4 === 0
          ? tagOf(create({ namespace, issuerUrl }, undefined, operator))
          : tagOf(update(made[n % 2]?.id ?? "", { issuerUrl }, operator))
      })
      const outcomes = new Set(yield* Effect.all(acts, { concurrency: "unbounded" }))
      assert.deepEqual([...outcomes].toSorted(), ["TrustAnchorExists", "ok"])
      const left = yield* (yield* TrustAnchors).list({ namespace, ...page }, visibleToAll)
      assert.lengthOf(new Set(left.map(({ issuerUrl }) => issuerUrl)), left.length)
    })
  )

  it.effect("is created by exactly one of many that try at the same moment", () =>
    Effect.gen(function* () {
      const { create } = yield* Anchoring
      for (let round = 0; round < 25; round += 1) {
        const request = { namespace: fresh("n"), issuerUrl: "https://issuer.example" }
        const outcomes = yield* Effect.all(
          Array.from({ length: 8 }, () => tagOf(create(request, undefined, operator))),
          { concurrency: "unbounded" }
        )
        assert.deepEqual(outcomes.toSorted(), [...Array.from({ length: 7 }, () => "TrustAnchorExists"), "ok"])
      }
    })
  )

  it.effect("takes the longest names there may be", () =>
    Effect.gen(function* () {
      const { pin } = yield* Pinning
      // no two alike, so that compression does not help the index
      const wide = (length: number) =>
        Array.from({ length }, () =>
          String.fromCodePoint(0x1_0000 + Math.floor(Math.random() * 0xf_0000))
        ).join("")
      const random = Array.from({ length: 2030 }, () => Math.floor(Math.random() * 36).toString(36)).join("")
      const namespace = wide(128)
      const { issuerUrl } = yield* anchor({ namespace, issuerUrl: `https://${random}` })
      assert.isAbove(issuerUrl.length, 2000)
      const { aid } = yield* pin({ namespace, aid: wide(512), pubkey: PUBKEY }, undefined, operator)
      assert.lengthOf([...aid], 512)
    })
  )
})
