import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "../../../src/registry/model.ts"
import { agentRecord, manifestUrl } from "../../../src/registry/record.ts"

const at = new Date("2026-01-02T03:04:05.678Z")
const agent: Agent = {
  aid: "aid:pubkey:x",
  displayName: "Ada",
  handshakeEndpoint: "https://agent.example.com:8443/a/b?c",
  offeredCaps: ["demo.echo"],
  status: "active",
  namespace: "default",
  registeredAt: at,
  lastEnrolledAt: at,
  lastSeenAt: null,
  deregisteredAt: null,
  manifestExpiresAt: at,
  manifestPublishedAt: at,
  manifestSha256: new Uint8Array([0, 255]),
  verifiedAt: at,
  conformanceFindings: []
}

describe("the record of an agent", () => {
  it("guesses where the agent publishes its manifest from its endpoint's origin alone", () => {
    const hintOf = (handshakeEndpoint: string) =>
      agentRecord({ ...agent, handshakeEndpoint }).agentManifestHint
    assert.strictEqual(
      hintOf("https://agent.example.com:8443/a/b?c"),
      "https://agent.example.com:8443/.well-known/aitp-manifest"
    )
    assert.strictEqual(
      hintOf("http://localhost:5001/aitp"),
      "http://localhost:5001/.well-known/aitp-manifest"
    )
    assert.strictEqual(hintOf("https://[::1]/x"), "https://[::1]/.well-known/aitp-manifest")
    for (const none of ["", "not a url", "urn:aitp:x", "mailto:a@b"]) assert.isNull(hintOf(none), none)
  })

  it("has the manifest only when that was read", () => {
    assert.notProperty(agentRecord(agent), "manifestJson")
    assert.strictEqual(agentRecord({ ...agent, manifestJson: " {} " }).manifestJson, " {} ")
  })

  it("has times with milliseconds and the digest in hex", () => {
    const { lastSeenAt, manifestSha256, registeredAt } = agentRecord({ ...agent, lastSeenAt: at })
    assert.deepEqual([registeredAt, lastSeenAt, manifestSha256], [at.toISOString(), at.toISOString(), "00ff"])
  })

  it("has its AID escaped as one path segment", () => {
    assert.strictEqual(manifestUrl("aid:pubkey:a/b"), "/api/registry/agents/aid%3Apubkey%3Aa%2Fb/manifest")
  })
})
