import { randomUUID } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../db/eventually.ts"
import { agentPath, joined, unique } from "../service/agents.ts"
import { read, send } from "../service/client.ts"
import { listText } from "../issuer-lists/mirror.ts"
import { deliveriesOf, subscribed } from "../service/deliveries.ts"
import { ingest } from "../service/events.ts"
import { revoke } from "../service/revocations.ts"
import { anchor, anchorPath, pin } from "../service/trust.ts"
import { json, jwk, saying, startIssuer } from "../trust/issuer.ts"

/** One of everything that a path or a query can name, made through the service. */
export interface Scene {
  /** An active agent, and its registered manifest. */
  readonly aid: string
  readonly manifest: string
  /** An agent that was taken out. */
  readonly goneAid: string
  readonly namespace: string
  readonly sessionId: string
  readonly runId: string
  readonly eventId: string
  /** Position after which there are events. */
  readonly position: string
  readonly tct: string
  /** A delegation below `tct`, with one below it. */
  readonly delegation: string
  /** An id on the operator's list. */
  readonly revoked: string
  readonly webhook: string
  readonly receiver: string
  readonly delivery: string
  /** A trust anchor whose key set was fetched, and its issuer. */
  readonly anchor: string
  readonly issuerUrl: string
}

/** Settings of a service in which a scene can be made: receivers and issuers are on loopback. */
export const sceneSettings = {
  WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8",
  WEBHOOK_TIMEOUT_MS: "1000",
  REVOCATION_MIRROR_ENABLED: "true",
  REVOCATION_MIRROR_ALLOW_CIDRS: "127.0.0.0/8",
  REVOCATION_MIRROR_INTERVAL_MS: "1000"
}

const ok = (path: string) => eventually(send(path, { key: true }), ({ status }) => status === 200)

const events = (aid: string, runId: string, sessionId: string, namespace: string) => {
  const [tct, second, delegation, below] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
  const other = unique("party")
  const common = { runId, sessionId, namespace, aidA: aid, aidB: other }
  const tcts = [tct, second].map((jti) => ({ jti, iss: aid, sub: other, grants: ["demo.echo"] }))
  const link = { delegator: aid, delegatee: other, scope: ["demo.echo"] }
  return {
    tct,
    delegation,
    batch: [
      { ...common, type: "handshake.started", payload: { boundary: "edge" } },
      { ...common, type: "handshake.complete", grants: ["demo.echo"], payload: { tcts } },
      { ...common, type: "delegation.issued", payload: { ...link, jti: delegation, parent_jti: tct } },
      { ...common, type: "delegation.issued", payload: { ...link, jti: below, parent_jti: delegation } },
      { ...common, type: "capability.invoked", payload: { capability: "demo.echo" } },
      { ...common, type: "tct.revoked", payload: { jti: second, reason: "left" } }
    ]
  }
}

/** An agent that publishes a revocation list of its own, on loopback. */
const publisher = Effect.fnUntraced(function* (namespace: string) {
  const issuer = yield* startIssuer
  const extensions = { "rfc-aitp-0008.revocation_list_uri": `${issuer.url}/list` }
  const { agent, aid, minted } = yield* joined({ extensions }, namespace)
  issuer.answer("/list", saying(200, listText(agent, [randomUUID()]), { "content-type": "application/json" }))
  return { aid, manifest: minted.text }
})

/** A fetched key set of an issuer on loopback. */
const anchored = Effect.fnUntraced(function* (namespace: string) {
  const issuer = yield* startIssuer
  issuer.answer("/keys", json({ keys: [jwk()] }))
  const { id } = yield* anchor({ issuerUrl: issuer.url, namespace, jwksUrl: `${issuer.url}/keys` })
  yield* ok(anchorPath(id, "/jwks"))
  return { anchor: id, issuerUrl: issuer.url }
})

/** A scene of its own; its receiver and issuers live as long as the scope. */
export const makeScene = Effect.gen(function* () {
  const namespace = unique("scene")
  const { aid, manifest } = yield* publisher(namespace)
  const { aid: goneAid } = yield* joined()
  const left = yield* send(agentPath(goneAid), { method: "DELETE", key: true })
  assert.strictEqual(left.status, 200, left.text)

  const { id: webhook, runId, url: receiver } = yield* subscribed()
  const sessionId = `${unique("session")}/é`
  const { batch, delegation, tct } = events(aid, runId, sessionId, namespace)
  yield* ingest(batch)
  const { jti: revoked } = yield* revoke({ reason: "scene" })
  const trust = yield* anchored(namespace)
  yield* pin({ aid, pubkey: aid.slice(-43), namespace })

  const { epoch, events: found } = yield* read<{
    readonly epoch: string
    readonly events: ReadonlyArray<{ readonly id: string; readonly seq: number }>
  }>(`/api/events?after=earliest&run_id=${runId}`)
  const [first] = found
  assert(first !== undefined)
  yield* ok(`/api/events/${first.id}/proof`)
  yield* ok(`/api/revocation/issuers/${encodeURIComponent(aid)}/list`)
  const deliveries = yield* eventually(
    deliveriesOf(webhook),
    (rows) => rows.length > 0 && rows.every(({ status }) => status === "delivered")
  )
  const scene: Scene = {
    aid,
    manifest,
    goneAid,
    namespace,
    sessionId,
    runId,
    eventId: first.id,
    position: `${epoch}.${first.seq}`,
    tct,
    delegation,
    revoked,
    webhook,
    receiver,
    delivery: deliveries[0]?.id ?? "",
    ...trust
  }
  return scene
})
