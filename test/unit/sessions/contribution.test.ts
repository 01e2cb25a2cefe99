import { assert, describe, it } from "@effect/vitest"
import type { SessionContribution } from "../../../src/sessions/contribution.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"
import { contributionsOf } from "../../support/projections/contributions.ts"

const [a, b, c] = [makeAgent(), makeAgent(), makeAgent()]

const sessionOf = (item: object) =>
  contributionsOf({ type: "handshake.started", sessionId: "s", ...item }).session

const nothing: SessionContribution = {
  sessionId: "s",
  kind: "started",
  aidA: null,
  aidB: null,
  runId: null,
  namespace: null,
  boundary: null,
  error: null,
  grants: []
}

describe("what an event says about its session", () => {
  it("reads each handshake event, under its alias too", () => {
    for (const [type, kind] of [
      ["handshake.started", "started"],
      ["handshake.complete", "complete"],
      ["handshake.completed", "complete"],
      ["handshake.failed", "failed"]
    ] as const) {
      assert.deepStrictEqual(sessionOf({ type }), { ...nothing, kind })
    }
  })

  it("says nothing for other types, and counts a handshake event without a session", () => {
    for (const type of [
      "handshake.retried",
      "Handshake.started",
      "handshake.started ",
      "tct.issued",
      "constructor"
    ]) {
      assert.isUndefined(sessionOf({ type }), type)
    }
    for (const sessionId of [undefined, "", 7, null]) {
      const { session, skipped } = contributionsOf({
        type: "handshake.failed",
        ...(sessionId === undefined ? {} : { sessionId })
      })
      assert.isUndefined(session)
      assert.deepStrictEqual(skipped, ["session"])
    }
    assert.deepStrictEqual(contributionsOf({ type: "handshake.retried" }).skipped, [])
  })

  it("reads the envelope's members in either spelling", () => {
    assert.deepStrictEqual(
      contributionsOf({
        type: "handshake.started",
        session_id: "s",
        aid_a: "x",
        target: "y",
        run_id: "r",
        payload: { namespace: "n" }
      }).session,
      { ...nothing, aidA: { aid: "x", basis: 0 }, aidB: { aid: "y", basis: 0 }, runId: "r", namespace: "n" }
    )
  })

  it("takes grants of completions only, in their order", () => {
    const grants = ["z", "a"]
    assert.deepStrictEqual(sessionOf({ type: "handshake.complete", grants })?.grants, grants)
    assert.deepStrictEqual(sessionOf({ type: "handshake.failed", grants })?.grants, [])
    assert.deepStrictEqual(sessionOf({ grants })?.grants, [])
    assert.deepStrictEqual(sessionOf({ type: "handshake.complete", grants: ["a", 1] })?.grants, [])
  })

  it("takes errors of failures only, and only texts", () => {
    assert.strictEqual(sessionOf({ type: "handshake.failed", payload: { error: "E" } })?.error, "E")
    assert.strictEqual(sessionOf({ type: "handshake.failed", error: "flat" })?.error, "flat")
    assert.isNull(sessionOf({ type: "handshake.failed", payload: { error: { code: 1 } } })?.error)
    assert.isNull(sessionOf({ type: "handshake.complete", payload: { error: "E" } })?.error)
  })

  it("cuts a boundary to 128 characters and leaves it otherwise verbatim", () => {
    assert.strictEqual(sessionOf({ payload: { boundary: "  a\nb " } })?.boundary, "  a\nb ")
    assert.strictEqual(sessionOf({ payload: { boundary: "x".repeat(129) } })?.boundary, "x".repeat(128))
    assert.strictEqual(sessionOf({ payload: { boundary: "😀".repeat(129) } })?.boundary, "😀".repeat(128))
    assert.strictEqual(
      sessionOf({ payload: { boundary: `x${"😀".repeat(200)}` } })?.boundary,
      `x${"😀".repeat(127)}`
    )
    assert.isNull(sessionOf({ payload: { boundary: 7 } })?.boundary)
  })

  it("prefers parties that are said to those it derives, and a start's to others'", () => {
    const payload = { role: "initiator", peer_aid: b.aid }
    assert.deepStrictEqual(sessionOf({ aidB: "said", payload })?.aidB, { aid: "said", basis: 0 })
    assert.deepStrictEqual(sessionOf({ type: "handshake.failed", aidB: "said", payload })?.aidB, {
      aid: "said",
      basis: 1
    })
    assert.deepStrictEqual(sessionOf({ payload })?.aidB, { aid: b.aid, basis: 2 })
  })

  it("derives the parties from role, peer and TCT", () => {
    const tct = { jti: "no matter", iss: b.aid, sub: a.aid }
    const derived = (item: object) => {
      const session = sessionOf({ type: "handshake.complete", ...item })
      return [session?.aidA?.aid ?? null, session?.aidB?.aid ?? null]
    }
    const cases: ReadonlyArray<readonly [object, ReadonlyArray<string | null>]> = [
      [{ payload: { role: "initiator", tct } }, [a.aid, b.aid]],
      [{ payload: { role: "responder", tct } }, [b.aid, a.aid]],
      [{ payload: { role: "initiator", peer_aid: c.aid, tct } }, [a.aid, c.aid]],
      [{ payload: { role: "responder", peer_aid: c.aid, tct } }, [c.aid, a.aid]],
      [{ role: "initiator", peer_aid: c.aid, tct }, [a.aid, c.aid]],
      [{ role: "initiator", peer_aid: c.aid, payload: { tcts: [tct] } }, [a.aid, c.aid]],
      [{ payload: { role: "initiator", peer_aid: "no AID", tct } }, [a.aid, b.aid]],
      [{ payload: { role: "initiator", tct: { iss: "no AID", sub: "no AID" } } }, [null, null]],
      [{ payload: { role: "initiator", tct: mintTct(b, a).token } }, [a.aid, b.aid]],
      [{ payload: { role: "initiator", tct: { token: mintTct(b, a).token } } }, [a.aid, b.aid]],
      [{ payload: { role: "initiator" } }, [null, null]],
      [{ payload: { role: "observer", peer_aid: c.aid, tct } }, [null, null]],
      [{ payload: { peer_aid: c.aid, tct } }, [null, null]]
    ]
    for (const [item, expected] of cases)
      assert.deepStrictEqual(derived(item), expected, JSON.stringify(item))
  })

  it("derives nothing from a TCT that strict verification does not admit", () => {
    const item = {
      type: "handshake.complete",
      sessionId: "s",
      payload: { role: "initiator", tct: { jti: "x", iss: b.aid, sub: a.aid } }
    }
    assert.isNull(contributionsOf(item, { verification: "strict" }).session?.aidA)
  })
})
