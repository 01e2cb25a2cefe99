import { randomUUID } from "node:crypto"

const among = (prefix: string, count: number) => `${prefix}-${Math.floor(Math.random() * count)}`

/** Two agents meet, one calls the other, one delegates: the six events that a runner reports of it. */
const encounter = (): ReadonlyArray<unknown> => {
  const [aidA, aidB] = [among("agent-a", 50), among("agent-b", 50)]
  const [sessionId, jti, runId] = [randomUUID(), randomUUID(), among("run", 20)]
  const ts = new Date().toISOString()
  const event = (type: string, payload: unknown) => ({
    type,
    ts,
    aidA,
    aidB,
    sessionId,
    runId,
    source: "bench",
    payload
  })
  const iat = Math.floor(Date.now() / 1000)
  const note = "x".repeat(150)
  return [
    event("handshake.started", { boundary: "bench", note }),
    event("handshake.complete", { boundary: "bench", note }),
    event("tct.issued", {
      tct: { jti, iss: aidA, sub: aidB, aud: aidB, grants: ["a.b.c"], iat, exp: iat + 3600 }
    }),
    event("capability.invoked", { capability: "a.b.c", note }),
    event("delegation.issued", {
      jti: randomUUID(),
      parent_jti: jti,
      delegator_aid: aidB,
      delegatee_aid: among("agent-c", 50),
      scope: ["a.b"]
    }),
    event("log.line", { note })
  ]
}

/** Bodies of reports, each of so many events out of one stream of encounters. */
export const reports = (size: number): (() => string) => {
  let ready: Array<unknown> = []
  return () => {
    while (ready.length < size) ready = ready.concat(encounter())
    return JSON.stringify(ready.splice(0, size))
  }
}
