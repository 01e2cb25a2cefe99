import { Result } from "effect"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { readManifestEnvelope } from "../../../src/aitp/manifest-envelope.ts"
import { manifestBytesToSign, verifyManifest } from "../../../src/aitp/manifest.ts"
import { verifyRevocationSnapshot } from "../../../src/aitp/revocation-list.ts"
import { readJson } from "../../../src/aitp/json.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"
import { readVector } from "../../support/aitp/vectors.ts"
import { assertThat, bytesOf, inputOf, type Target } from "../target.ts"

const NOW = 1_711_900_100

const known = readVector<{ manifest: object }>(
  "known-answer/signed-examples/manifest/kat-keypair-001-manifest.json"
)
const { revocation_list, signature } = readVector<{ revocation_list: object; signature: string }>(
  "known-answer/signed-examples/revocation/kat-keypair-001-snapshot.json"
)

const texts = [
  JSON.stringify({ manifest: known.manifest }),
  mintManifest(makeAgent({ seed: Buffer.alloc(32, 1) }), { published_at: NOW - 60 }).text,
  mintManifest(makeAgent({ seed: Buffer.alloc(32, 2), form: "p256" }), {
    published_at: NOW - 60,
    display_name: "\u00e9\u{1f600}",
    extensions: { "x.y": [1, { a: null }] }
  }).text
]

/** What was signed, canonically: nobody can sign anything else. */
const signed = new Set(
  texts.map((text) => {
    const read = readManifestEnvelope(text)
    return Result.isSuccess(read) ? manifestBytesToSign(read.success.manifest) : ""
  })
)

const signedLists = new Set([canonicalJson(revocation_list)])

const listOutcome = (bytes: Buffer): string => {
  const read = readJson(bytes)
  if (Result.isFailure(read)) return "no JSON"
  const verified = verifyRevocationSnapshot(read.success)
  if (Result.isFailure(verified)) return verified.failure.code
  const body = canonicalJson(Reflect.get(read.success as object, "revocation_list")) // has the form of a snapshot
  assertThat(signedLists.has(body), "no list verifies but the signed one")
  return "sound"
}

/** Manifests and revocation lists: what verifies says exactly what was signed, under either profile. */
export const manifest: Target = {
  name: "manifest",
  seeds: [...texts, JSON.stringify({ revocation_list, signature })].map(inputOf),
  dictionary: [
    '"version":"aitp/0.2",',
    '"expires_at":',
    '"extensions":{},',
    '"x":1,',
    "ed25519.",
    "p256.",
    "aid:pubkey:",
    "null",
    "[]",
    "{}",
    "1e3",
    "-0",
    "1711900000.5",
    "\\u0061"
  ],
  run: (input) => {
    const bytes = bytesOf(input)
    const list = listOutcome(bytes)
    const envelope = readManifestEnvelope(bytes)
    if (Result.isFailure(envelope)) return `${list}, ${envelope.failure.offence}`
    const wire = envelope.success.manifest
    const [strict, compat] = (["strict", "compat"] as const).map((profile) =>
      verifyManifest(wire, { now: NOW, profile })
    )
    assertThat(strict !== undefined && compat !== undefined, "there are two profiles")
    if (strict === undefined || compat === undefined || Result.isFailure(compat)) {
      assertThat(strict === undefined || Result.isFailure(strict), "strict takes nothing that compat refuses")
      return `${list}, ${compat !== undefined && Result.isFailure(compat) ? compat.failure.verifyCode : ""}`
    }
    assertThat(signed.has(manifestBytesToSign(wire)), "nothing verifies but what was signed")
    return `${list}, sound ${Result.isSuccess(strict)}`
  }
}
