import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { encodeBase64url } from "../../../src/aitp/base64url.ts"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { leafEntryText, leafHash, saltedHash } from "../../../src/events/leaf.ts"

interface Vector {
  readonly name: string
  readonly saltHex: string
  readonly payload: string
  readonly artifacts: string | null
  readonly fields: {
    readonly log: number
    readonly id: string
    readonly type: string
    readonly ts: string
    readonly receivedAt: string
    readonly aidA: string | null
    readonly aidB: string | null
    readonly sessionId: string | null
    readonly runId: string | null
    readonly grants: ReadonlyArray<string> | null
    readonly namespace: string | null
    readonly source: string
    readonly reportedBy: string
    readonly orgIds: ReadonlyArray<string>
    readonly agentId: string | null
    readonly outcome: string | null
  }
  readonly payloadHash: string
  readonly artifactsHash: string | null
  readonly entry: string
  readonly leafHex: string
}

const vectors = JSON.parse(
  readFileSync(new URL("../../ledger-vectors/leaf.json", import.meta.url), "utf8")
) as ReadonlyArray<Vector>

const entryOf = ({ artifacts, fields, payload, saltHex }: Vector) => {
  const salt = Buffer.from(saltHex, "hex")
  return {
    ...fields,
    ts: Date.parse(fields.ts),
    receivedAt: Date.parse(fields.receivedAt),
    payloadHash: saltedHash(salt, payload),
    artifactsHash: artifacts === null ? null : saltedHash(salt, artifacts)
  }
}

describe("leaf of an event", () => {
  it("has vectors to be held against", () => assert.isAtLeast(vectors.length, 4))

  it.each(vectors)("matches the published vector: $name", (vector) => {
    const entry = entryOf(vector)
    assert.strictEqual(encodeBase64url(entry.payloadHash), vector.payloadHash)
    assert.strictEqual(
      entry.artifactsHash === null ? null : encodeBase64url(entry.artifactsHash),
      vector.artifactsHash
    )
    assert.strictEqual(leafEntryText(entry), vector.entry)
    assert.strictEqual(Buffer.from(leafHash(entry)).toString("hex"), vector.leafHex)
  })

  it.each(vectors)("is written as RFC 8785 would write it: $name", (vector) => {
    assert.strictEqual(leafEntryText(entryOf(vector)), canonicalJson(JSON.parse(vector.entry)))
  })

  it("does not depend on the order in which owners were found", () => {
    const [vector] = vectors
    assert.isDefined(vector)
    const entry = { ...entryOf(vector), orgIds: ["b", "a", "c"] }
    assert.deepEqual(leafHash(entry), leafHash({ ...entry, orgIds: ["c", "b", "a"] }))
  })

  it("changes with the salt although the payload is the same", () => {
    assert.notDeepEqual(saltedHash(Buffer.alloc(16, 1), "{}"), saltedHash(Buffer.alloc(16, 2), "{}"))
  })
})
