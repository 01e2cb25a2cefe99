// The JSON Schemas of the specification against ours, without a validator: same members, same ones required, and nothing
// else allowed.

import { assert, describe, it } from "@effect/vitest"
import { type Schema, SchemaAST } from "effect"
import { DelegationClaims } from "../../../src/aitp/delegation.ts"
import { IdentityHint, Manifest } from "../../../src/aitp/manifest.ts"
import { RevocationEntry, RevocationList, RevocationSnapshot } from "../../../src/aitp/revocation-list.ts"
import { SessionBundle } from "../../../src/aitp/session-bundle.ts"
import { Confirmation, TctClaims } from "../../../src/aitp/tct.ts"
import { VoucherClaims } from "../../../src/aitp/voucher.ts"
import { describeVectors, readVector, vectorEntries } from "../../support/aitp/vectors.ts"

interface Node {
  readonly required?: ReadonlyArray<string>
  readonly properties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly $defs?: Readonly<Record<string, Node>>
  readonly additionalProperties?: boolean
  readonly pattern?: string
}

const at = (node: Node | undefined, ...path: ReadonlyArray<string>): Node => {
  let found: Node | undefined = node
  for (const step of path) {
    found = step === "items" ? found?.items : (found?.properties?.[step] ?? found?.$defs?.[step])
  }
  if (found?.properties === undefined) throw new Error(`no object at ${path.join(".")}`)
  return found
}

const sameMembers = (ours: Schema.Struct<Schema.Struct.Fields>, theirs: Node) => {
  const names = Object.keys(ours.fields)
  assert.isAbove(names.length, 0)
  assert.deepStrictEqual(names.toSorted(), Object.keys(theirs.properties ?? {}).toSorted())
  const required = names.filter((name) => {
    const field = ours.fields[name]
    return field !== undefined && !SchemaAST.isOptional(field.ast)
  })
  assert.deepStrictEqual(required.toSorted(), [...(theirs.required ?? [])].toSorted())
  assert.isFalse(theirs.additionalProperties)
}

const aidPattern = "^aid:pubkey:([A-Za-z0-9_-]{43}|ed25519:[A-Za-z0-9_-]{43}|p256:[A-Za-z0-9_-]{44})$"
const signaturePattern = "^((ed25519|p256)\\.)?[A-Za-z0-9_-]{86}$"

const patternsIn = (value: unknown): ReadonlyArray<string> =>
  typeof value !== "object" || value === null
    ? []
    : Object.entries(value).flatMap(([name, member]) =>
        name === "pattern" && typeof member === "string" ? [member] : patternsIn(member)
      )

/** For artifacts a control plane takes no part in: at least their AIDs and signatures are the ones we know. */
const sharesGrammar = (path: string) => {
  const patterns = patternsIn(readVector(path))
  const aids = patterns.filter((pattern) => pattern.includes("aid:"))
  const signatures = patterns.filter((pattern) => pattern.includes("p256)"))
  assert.isAbove(patterns.length, 0)
  for (const pattern of aids) assert.strictEqual(pattern, aidPattern)
  for (const pattern of signatures) assert.strictEqual(pattern, signaturePattern)
}

describeVectors("schemas/", {
  "aitp-manifest.schema.json": (path) => {
    const schema = readVector<Node>(path)
    sameMembers(Manifest, at(schema, "manifest"))
    sameMembers(IdentityHint, at(schema, "IdentityHint"))
    sharesGrammar(path)
  },
  "aitp-revocation-list.schema.json": (path) => {
    const schema = readVector<Node>(path)
    sameMembers(RevocationSnapshot, schema)
    sameMembers(RevocationList, at(schema, "revocation_list"))
    sameMembers(RevocationEntry, at(schema, "revocation_list", "entries", "items"))
    sharesGrammar(path)
  },
  "aitp-tct.schema.json": (path) => {
    const schema = readVector<Node>(path)
    sameMembers(TctClaims, schema)
    sameMembers(Confirmation, at(schema, "Cnf"))
    sharesGrammar(path)
  },
  "aitp-grant-voucher.schema.json": (path) => {
    sameMembers(VoucherClaims, readVector<Node>(path))
    sharesGrammar(path)
  },
  "aitp-delegation.schema.json": (path) => {
    sameMembers(DelegationClaims, readVector<Node>(path))
    sharesGrammar(path)
  },
  "aitp-session-bundle.schema.json": (path) => {
    sameMembers(SessionBundle, at(readVector<Node>(path), "session_bundle"))
    sharesGrammar(path)
  },
  "aitp-conformance-fixture.schema.json": (path) => {
    const { required = [] } = readVector<Node>(path)
    const fixtures = vectorEntries("conformance-minted/")
    assert.strictEqual(fixtures.length, 23)
    for (const fixture of fixtures) {
      assert.includeMembers(
        Object.keys(readVector<object>(`conformance-minted/${fixture}`)),
        [...required],
        fixture
      )
    }
  },
  "aitp-envelope.schema.json": sharesGrammar,
  "aitp-mutual-handshake.schema.json": sharesGrammar,
  "aitp-identity.schema.json": sharesGrammar,
  "aitp-trust-anchors.schema.json": sharesGrammar
})

describe("vectors", () => {
  it("has a suite for each folder", () => {
    assert.deepStrictEqual(vectorEntries(), [
      "README.md",
      "conformance",
      "conformance-minted",
      "edge",
      "known-answer",
      "schemas",
      "superseded"
    ])
  })
})
