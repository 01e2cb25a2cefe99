import { Result } from "effect"
import { applyRevocationDelta } from "../../../src/client/revocation-delta.ts"
import { readRevocationFilter } from "../../../src/client/revocation-filter.ts"
import { readRevocationList } from "../../../src/client/revocation-list.ts"
import { RevocationRefused } from "../../../src/client/refusal.ts"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { readRequest, revocationOf } from "../../../src/revocation/request.ts"
import { readKeySet } from "../../../src/trust/key-set.ts"
import { readVector } from "../../support/aitp/vectors.ts"
import { assertThat, bytesOf, inputOf, type Target } from "../target.ts"

const NOW = 1_711_900_000_000
const { revocation_list, signature } = readVector<{ revocation_list: { issuer: string }; signature: string }>(
  "known-answer/signed-examples/revocation/kat-keypair-001-snapshot.json"
)
const snapshot = { revocation_list, signature }
const { issuer } = snapshot.revocation_list
const signed = canonicalJson(snapshot.revocation_list)
const held = await readRevocationList(JSON.stringify(snapshot), issuer)

const outcomeOf = async (read: Promise<unknown>): Promise<string> => {
  try {
    await read
    return "read"
  } catch (error) {
    if (error instanceof RevocationRefused) return error.code
    throw error
  }
}

const SECRETS = ["d", "p", "q", "dp", "dq", "qi", "k", "oth", "priv"]

const keySetOutcome = (bytes: Buffer): string => {
  const read = readKeySet(bytes)
  if (Result.isFailure(read)) return "no key set"
  const { keys } = JSON.parse(read.success.text) as { keys: ReadonlyArray<object> } // was read as a key set
  assertThat(!keys.some((key) => SECRETS.some((name) => Object.hasOwn(key, name))), "no private key is kept")
  for (const key of read.success.agentKeys)
    assertThat(/^[A-Za-z0-9_-]{43,44}$/.test(key), "keys are those of agents")
  return `${read.success.agentKeys.length} keys`
}

const revocationOutcome = (bytes: Buffer): string => {
  const body = readRequest(bytes)
  if (Result.isFailure(body)) return "no body"
  const revocation = revocationOf(body.success, NOW)
  if (Result.isFailure(revocation)) return revocation.failure.code
  const { jti, reason, revokedAt } = revocation.success
  assertThat(/^[0-9a-f-]{36}$/.test(jti), "ids are folded")
  assertThat(revokedAt.getTime() >= 0 && revokedAt.getTime() <= NOW, "nothing is revoked in the future")
  assertThat(reason === null || (reason.isWellFormed() && !reason.includes("\0")), "reasons can be stored")
  return "revokes"
}

/** Signed documents as clients read them, key sets of issuers, and requests to revoke. */
export const documents: Target = {
  name: "documents",
  seeds: [
    JSON.stringify(snapshot),
    '{"revocation_delta":{"version":"aitp-cp/1","issuer":"x","from":1,"to":2},"signature":"x"}',
    '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik","use":"sig"},{"kty":"RSA","n":"x","e":"AQAB"}]}',
    '{"jti":"0B9A4C6E-1b1f-4b5e-8f2a-0123456789ab","reason":"x","revokedAt":"2024-01-01T00:00:00Z","issuer":null}'
  ].map(inputOf),
  dictionary: [
    '"kty":"EC"',
    '"crv":"P-256"',
    '"d":"x",',
    '"key_ops":["verify"],',
    '"reason":',
    "\\u0000",
    "null",
    "{}",
    "[]"
  ],
  run: async (input) => {
    const bytes = bytesOf(input)
    const text = bytes.toString("utf8")
    const list = await outcomeOf(
      readRevocationList(text, issuer).then(() => {
        const body: unknown = Reflect.get(JSON.parse(text), "revocation_list")
        assertThat(canonicalJson(body) === signed, "no list is read but the signed one")
      })
    )
    const delta = await outcomeOf(applyRevocationDelta(held, text))
    const filter = await outcomeOf(readRevocationFilter(text, issuer))
    return `${list} ${delta} ${filter} ${keySetOutcome(bytes)} ${revocationOutcome(bytes)}`
  }
}
