import { assert, layer } from "@effect/vitest"
import { Effect, Option } from "effect"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { Sessions } from "../../../src/sessions/Sessions.ts"
import { Tcts } from "../../../src/tcts/Tcts.ts"
import { Delegations } from "../../../src/delegations/Delegations.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct, mintDelegation } from "../../support/aitp/mint-tokens.ts"
import { ProjectedLedger, report } from "../../support/projections/ledger.ts"

layer(ProjectedLedger, { timeout: "60 seconds" })("smoke", (it) => {
  it.effect("works", () =>
    Effect.gen(function* () {
      const [a, b, c] = [makeAgent(), makeAgent(), makeAgent()]
      const tct = mintTct(a, b)
      const del = mintDelegation(a, b, c)
      const r = yield* report([
        { type: "handshake.started", ts: 1_700_000_000, sessionId: "s1", aidA: a.aid },
        { type: "handshake.completed", ts: 1_700_000_001, sessionId: "s1", grants: ["x", "y"], payload: { role: "initiator", peer_aid: a.aid, tct: { token: tct.token } } },
        { type: "delegation.issued", ts: 1_700_000_002, payload: { tct: { token: del.token } } },
        { type: "tct.revoked", ts: 1_700_000_003, payload: { jti: tct.claims.jti, reason: "r" } }
      ])
      console.log(r.recorded, JSON.stringify(r.batch.events.map((e) => [e.payload, e.artifacts]), null, 1))
      console.log(yield* (yield* Sessions).findById("s1", visibleToAll))
      console.log(yield* (yield* Tcts).list({ issuer: undefined, subject: undefined, audience: undefined, capability: undefined, sessionId: undefined, jti: undefined, active: false, limit: 10, offset: 0, after: undefined }, visibleToAll))
      console.log(yield* (yield* Delegations).list({ parentJti: undefined, delegator: undefined, delegatee: undefined, active: false, limit: 10, offset: 0, after: undefined }, visibleToAll))
    })
  )
})
