import { assert } from "@effect/vitest"
import { Result } from "effect"
import { type Aid, formatAid } from "../../../src/aitp/aid.ts"
import { decodeBase64url } from "../../../src/aitp/base64url.ts"
import { verifyDelegation } from "../../../src/aitp/delegation.ts"
import { verifyManifest } from "../../../src/aitp/manifest.ts"
import { decideRevocation, verifyRevocationSnapshot } from "../../../src/aitp/revocation-list.ts"
import { verifyTct } from "../../../src/aitp/tct.ts"
import { verifyVoucher } from "../../../src/aitp/voucher.ts"
import { describeVectors, readVector, vectorEntries } from "../../support/aitp/vectors.ts"

interface Input {
  readonly operation: string
  readonly now?: number
  readonly manifest?: unknown
  readonly snapshot?: unknown
  readonly policy?: {
    readonly fail_mode: "fail_closed" | "fail_open" | "soft_fail"
    readonly max_staleness_secs: number
  }
  readonly expected_issuer?: Aid
  readonly queried_jti?: string
  readonly tct_token?: string
  readonly expected_audience?: Aid
  readonly issuer_pubkey?: string
  readonly voucher_token?: string
  readonly verifier_aid?: Aid
  readonly delegation_token?: string
  readonly self_aid?: Aid
}

interface Fixture {
  readonly id: string
  readonly feature: string | null
  readonly input: Input
  readonly expected: {
    readonly outcome: "success" | "failure"
    readonly error_code?: string
    readonly grants?: ReadonlyArray<string>
    readonly side_effects?: {
      readonly revocation_lookup_called: boolean
      readonly network_fetch_called: boolean
    }
  }
}

interface Outcome {
  readonly code?: string
  readonly grants?: ReadonlyArray<string>
}

const referenceClock = 1711900000

const given = <T>(value: T | undefined): T => {
  assert.isDefined(value)
  return value as T // asserted above
}

let lookups = 0
const isRevoked = () => {
  lookups++
  return false
}

const operations: Record<string, (input: Input, feature: string | null) => Outcome> = {
  verify_manifest: ({ manifest, now }) =>
    Result.match(verifyManifest(manifest, { now: given(now), profile: "strict" }), {
      onFailure: ({ protocolCode }) => ({ code: protocolCode }),
      onSuccess: () => ({})
    }),

  verify_revocation_snapshot: ({ expected_issuer, now, policy, queried_jti, snapshot }) => {
    const { fail_mode, max_staleness_secs } = given(policy)
    const verified = verifyRevocationSnapshot(snapshot)
    if (Result.isFailure(verified)) return { code: verified.failure.code }
    const decision = decideRevocation({
      issuer: given(expected_issuer),
      jti: queried_jti ?? "550e8400-e29b-41d4-a716-446655440111",
      snapshot: verified.success,
      now: given(now),
      policy: { failMode: fail_mode, maxStalenessSecs: max_staleness_secs }
    })
    return decision.allowed ? {} : { code: decision.code }
  },

  verify_tct: ({ expected_audience, issuer_pubkey, now, tct_token }) => {
    const verified = verifyTct(given(tct_token), {
      now: now ?? referenceClock,
      audience: given(expected_audience),
      isRevoked
    })
    if (issuer_pubkey !== undefined) {
      // The fixture names the key; the token must carry that very one in `iss`.
      const claims = JSON.parse(Buffer.from(given(tct_token).split(".")[1] ?? "", "base64url").toString())
      assert.strictEqual(claims.iss, formatAid("ed25519", given(decodeBase64url(issuer_pubkey))))
    }
    return Result.match(verified, {
      onFailure: ({ code }) => ({ code }),
      onSuccess: ({ grants }) => ({ grants })
    })
  },

  verify_grant_voucher: ({ now, verifier_aid, voucher_token }) =>
    Result.match(
      verifyVoucher(given(voucher_token), { now: now ?? referenceClock, self: given(verifier_aid) }),
      {
        onFailure: ({ code }) => ({ code }),
        onSuccess: ({ grants }) => ({ grants })
      }
    ),

  verify_delegation_token: ({ delegation_token, now, self_aid }, feature) =>
    Result.match(
      verifyDelegation(given(delegation_token), {
        now: now ?? referenceClock,
        self: given(self_aid),
        isRevoked,
        ...(feature === "experimental-multihop-delegation" ? { multihop: { maxHops: 3 } } : {})
      }),
      { onFailure: ({ code }) => ({ code }), onSuccess: ({ grants }) => ({ grants }) }
    )
}

const run = (path: string) => {
  const { expected, feature, input } = readVector<Fixture>(path)
  lookups = 0
  const outcome = given(operations[input.operation])(input, feature)
  assert.strictEqual(outcome.code, expected.outcome === "success" ? undefined : given(expected.error_code))
  if (expected.grants !== undefined) assert.deepStrictEqual(outcome.grants, expected.grants)
  if (expected.side_effects !== undefined) {
    assert.isFalse(expected.side_effects.revocation_lookup_called)
    assert.strictEqual(lookups, 0)
  } else if (outcome.code === undefined && /tct|delegation/.test(input.operation)) {
    assert.isAbove(lookups, 0, "the lookup is wired up, so its absence elsewhere means something")
  }
}

const minted = [
  "del-001-success",
  "del-006-voucher-subject-mismatch",
  "del-007-multihop-rejected-v02",
  "del-mh-003-chain-hash-mismatch",
  "man-003-cache-expired-rejected",
  "man-004-unknown-field-rejected",
  "man-005-extensions-unknown-key-accepted",
  "man-006-schema-invalid",
  "man-007-identity-hint-oidc-public-key-rejected",
  "rev-003-success",
  "rev-004-invalid-sig-no-revocation-call",
  "rev-005-unknown-field-rejected",
  "rev-006-extensions-unknown-key-accepted",
  "rev-007-schema-invalid",
  "rev-008-signature-invalid",
  "rev-009-fail-open-stale-snapshot",
  "tct-008-alg-none-rejected",
  "tct-009-alg-confusion-rejected",
  "tct-010-typ-mismatch-rejected",
  "tct-011-unknown-claim-rejected",
  "tct-012-ext-unknown-key-accepted",
  "vch-001-success",
  "vch-002-expired"
].map((name) => `${name}.json`)

describeVectors("conformance-minted/", Object.fromEntries(minted.map((name) => [name, run])))

const isMintedWithSameExpectation = (path: string) => {
  const fixture = readVector<Fixture>(path)
  const twin = readVector<Fixture>(path.replace("conformance/", "conformance-minted/"))
  assert.deepStrictEqual([twin.id, twin.expected], [fixture.id, fixture.expected])
  assert.notDeepEqual(twin.input, fixture.input, "upstream's file holds placeholders")
}

describeVectors("conformance/", {
  ...Object.fromEntries(minted.map((name) => [name, isMintedWithSameExpectation])),
  "INDEX.json": (path) => {
    const { read_at_commit } = readVector<{ read_at_commit: Record<string, string> }>(path)
    assert.deepStrictEqual(
      Object.keys(read_at_commit)
        .map((name) => `${name}.json`)
        .sort(),
      vectorEntries("conformance-minted/")
    )
  }
})
