import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { checkManifestPolicy } from "../../../src/aitp/manifest-policy.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"

const now = 1711900100
const agent = makeAgent()

const verdict = (overrides: object) =>
  Result.match(checkManifestPolicy(mintManifest(agent, { published_at: now, ...overrides }).manifest, now), {
    onFailure: (refused) => {
      assert.isFalse("verifyCode" in refused, "no SDK would refuse it")
      return refused.protocolCode
    },
    onSuccess: () => "ok"
  })

describe("checkManifestPolicy", () => {
  it("draws its lines to the second and the character", () => {
    const rows: ReadonlyArray<readonly [object, string]> = [
      [{}, "ok"],
      [{ published_at: now + 300 }, "ok"],
      [{ published_at: now + 301 }, "MANIFEST_INVALID"],
      [{ expires_at: now + 300 }, "ok"],
      [{ expires_at: now + 299 }, "MANIFEST_TTL_TOO_SHORT"],
      [{ published_at: now - 500, expires_at: now - 1 }, "MANIFEST_TTL_TOO_SHORT"],
      [{ published_at: now + 200, expires_at: now + 200 }, "MANIFEST_INVALID"],
      [{ published_at: now + 200, expires_at: now + 199 }, "MANIFEST_INVALID"],
      [{ display_name: "😀".repeat(256) }, "ok"],
      [{ display_name: "x".repeat(257) }, "MANIFEST_INVALID"],
      [{ display_name: "a\0b" }, "MANIFEST_INVALID"],
      [{ handshake_endpoint: "https://a.example/\0" }, "MANIFEST_INVALID"],
      [{ offered_capabilities: ["a.b\0"] }, "MANIFEST_INVALID"],
      [{ expires_at: 253_402_300_799 }, "ok"],
      [{ expires_at: 253_402_300_800 }, "MANIFEST_INVALID"],
      [{ aid: `${agent.aid}\0` }, "MANIFEST_INVALID"],
      [{ aid: "a".repeat(513) }, "MANIFEST_INVALID"]
    ]
    for (const [overrides, expected] of rows)
      assert.strictEqual(verdict(overrides), expected, JSON.stringify(overrides))
  })
})
