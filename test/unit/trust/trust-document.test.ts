import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import fc from "fast-check"
import { trustDocument, TrustDocumentBody } from "../../../src/trust/trust-document.ts"
import { documentFault } from "../../support/trust/specified.ts"

const isOurs = Schema.is(TrustDocumentBody)

const KEY = "A".repeat(43)
const OTHER = `A${"b".repeat(43)}`
const NOW = Date.parse("2026-01-01T00:00:00.000Z")
const pin = { aid: "agent-1", pubkey: KEY, keyMatchesAid: null, expiresAt: null }

describe("the trust document", () => {
  it("is measured with a schema that can refuse", () => {
    assert.isUndefined(documentFault({}))
    assert.isDefined(documentFault({ more: 1 }))
    assert.isDefined(documentFault({ trust_anchors: [{ issuer: "https://a.example", keys: [] }] }))
    assert.isDefined(documentFault({ trust_anchors: [{ issuer: "https://a.example", keys: ["short"] }] }))
    assert.isDefined(documentFault({ pinned_keys: [{ subject: "", public_key: KEY }] }))
  })

  it("says what it must", () => {
    const document = trustDocument([{ issuerUrl: "https://a.example", keys: [KEY, OTHER] }], [pin], NOW)
    assert.deepEqual(document, {
      trust_anchors: [{ issuer: "https://a.example", keys: [KEY, OTHER] }],
      pinned_keys: [{ subject: "agent-1", public_key: KEY }]
    })
    assert.isUndefined(documentFault(document))
  })

  it("leaves out issuers without a usable key or that are no URI", () => {
    const anchors = [
      { issuerUrl: "https://a.example", keys: [] },
      { issuerUrl: "https://a b.example", keys: [KEY] },
      { issuerUrl: "https://\u00fc.example", keys: [KEY] },
      { issuerUrl: "https://", keys: [KEY] }
    ]
    assert.deepEqual(trustDocument(anchors, [], NOW).trust_anchors, [])
  })

  it("leaves out pins that have expired or contradict their AID", () => {
    const pins = [
      { ...pin, aid: "past", expiresAt: new Date(NOW) },
      { ...pin, aid: "contradicts", keyMatchesAid: false },
      { ...pin, aid: "still", expiresAt: new Date(NOW + 1) },
      { ...pin, aid: "agrees", keyMatchesAid: true }
    ]
    const subjects = trustDocument([], pins, NOW).pinned_keys.map(({ subject }) => subject)
    assert.deepEqual(subjects, ["still", "agrees"])
  })

  it("keeps to the specification's schema and to ours, whatever is stored", () => {
    const key = fc.string({ unit: fc.constantFrom(..."AZaz09_-"), minLength: 43, maxLength: 44 })
    const anchor = fc.record({
      issuerUrl: fc.string().map((text) => `https://${text}`),
      keys: fc.array(key, { maxLength: 3 })
    })
    const pins = fc.record({
      aid: fc.string({ minLength: 1 }),
      pubkey: key,
      keyMatchesAid: fc.constantFrom(null, true, false),
      expiresAt: fc.option(fc.date({ noInvalidDate: true }))
    })
    fc.assert(
      fc.property(fc.array(anchor), fc.array(pins), (anchors, pins) => {
        const document = trustDocument(anchors, pins, NOW)
        assert.isUndefined(documentFault(document))
        assert.isTrue(isOurs(document))
      })
    )
  })
})
