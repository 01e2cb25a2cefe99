import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { newAgent, unique } from "../service/agents.ts"
import { anchor, pin } from "../service/trust.ts"
import { RECEIVER, subscribe } from "../service/webhooks.ts"
import type { Examples } from "./example.ts"

const ISSUER = "https://issuer.example"
const ACTIVE = { active: true, events: ["agent.*"], filter: { namespace: "n" } }

const newPin = () => {
  const { aid } = newAgent()
  return { aid, pubkey: aid.slice(-43), namespace: unique("n") }
}

/** What operators do, and what they read about it. */
export const operatorExamples: Examples = {
  "GET /api/audit": () => [
    { query: { limit: "1000" } },
    { query: { action: "webhook.create", since: "2026-01-01", limit: "1" } }
  ],

  "GET /api/webhooks": () => [{}, { query: { limit: "1" } }],
  "POST /api/webhooks": () => [
    { body: { url: RECEIVER, active: false, events: ["agent.*"], secret: "s".repeat(20), filter: {} } },
    { body: { url: RECEIVER, active: false }, headers: { "idempotency-key": randomUUID() } }
  ],
  "GET /api/webhooks/{id}": ({ webhook }) => [{ params: { id: webhook } }],
  "PATCH /api/webhooks/{id}": () =>
    Effect.map(subscribe(), ({ id }) => [
      { params: { id }, body: { ...ACTIVE, url: RECEIVER, secret: "another" } },
      { params: { id }, body: {} }
    ]),
  "PUT /api/webhooks/{id}": () =>
    Effect.map(subscribe(), ({ id }) => [{ params: { id }, body: { ...ACTIVE, url: RECEIVER } }]),
  "DELETE /api/webhooks/{id}": () => Effect.map(subscribe(), ({ id }) => [{ params: { id } }]),
  "POST /api/webhooks/{id}/rotate-secret": () =>
    Effect.map(subscribe(), ({ id }) => [
      { params: { id }, body: { secret: "s", graceSecs: 60 } },
      { params: { id }, body: {} },
      { params: { id }, body: { graceSecs: 0 } }
    ]),
  "GET /api/webhooks/{id}/circuit-breaker": ({ webhook }) => [{ params: { id: webhook } }],
  "POST /api/webhooks/{id}/circuit-breaker/reset": ({ webhook }) => [
    { params: { id: webhook } },
    { params: { id: webhook }, body: {} }
  ],
  "POST /api/webhooks/{id}/test": ({ webhook }) => [{ params: { id: webhook } }],
  "GET /api/webhooks/{id}/deliveries": ({ webhook }) => [
    { params: { id: webhook } },
    { params: { id: webhook }, query: { status: "delivered", event_type: "tct.revoked", limit: "1" } }
  ],
  "GET /api/webhooks/{id}/deliveries/{deliveryId}": ({ delivery, webhook }) => [
    { params: { id: webhook, deliveryId: delivery } }
  ],
  "POST /api/webhooks/{id}/deliveries/{deliveryId}/redeliver": ({ delivery, webhook }) => [
    { params: { id: webhook, deliveryId: delivery } },
    { params: { id: webhook, deliveryId: delivery }, headers: { "idempotency-key": randomUUID() } }
  ],
  "POST /api/webhooks/{id}/recover": ({ webhook }) => [
    { params: { id: webhook }, body: { since: "2026-01-01", until: "2026-01-02", missed: true } }
  ],

  "POST /api/revocation/entries": ({ aid, revoked }) => [
    { body: { jti: randomUUID(), reason: "left", revokedAt: "2026-01-02T03:04:05Z", issuer: aid } },
    { body: { jti: revoked }, headers: { "idempotency-key": randomUUID() } }
  ],
  "GET /api/revocation/entries": ({ aid }) => [
    { query: { limit: "1000" } },
    { query: { issuer: aid, since: "2026-01-01", limit: "1" } }
  ],
  "GET /api/revocation/entries/{jti}": ({ revoked }) => [{ params: { jti: revoked } }],
  "GET /api/revocation/impact/{jti}": ({ delegation, tct }) => [
    { params: { jti: tct } },
    { params: { jti: delegation } }
  ],
  "GET /.well-known/aitp-revocation-list": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /api/well-known/aitp-revocation-list": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /api/revocation/issuers": () => [{}, { query: { limit: "1" } }],
  "GET /api/revocation/issuers/{aid}/list": ({ aid }) => [
    { params: { aid } },
    { params: { aid }, headers: { "if-none-match": "*" }, status: 304 }
  ],
  "GET /api/revocation/changes": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /api/revocation/filter": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /api/revocation/status/{jti}": ({ revoked }) => [
    { params: { jti: revoked } },
    { params: { jti: randomUUID() } }
  ],

  "GET /api/trust-anchors": ({ namespace }) => [{}, { query: { namespace, limit: "1" } }],
  "POST /api/trust-anchors": () => [
    { body: { issuerUrl: ISSUER, namespace: unique("n"), jwksUrl: `${ISSUER}/keys`, label: "l" } },
    { body: { issuerUrl: ISSUER, namespace: unique("n") }, headers: { "idempotency-key": randomUUID() } }
  ],
  "GET /api/trust-anchors/{id}": ({ anchor }) => [{ params: { id: anchor } }],
  "PATCH /api/trust-anchors/{id}": () =>
    Effect.map(anchor({ issuerUrl: ISSUER, namespace: unique("n") }), ({ id }) => [
      { params: { id }, body: { issuerUrl: `${ISSUER}/b`, jwksUrl: null, label: "b" } },
      { params: { id }, body: {} }
    ]),
  "DELETE /api/trust-anchors/{id}": () =>
    Effect.map(anchor({ issuerUrl: ISSUER, namespace: unique("n") }), ({ id }) => [{ params: { id } }]),
  "GET /api/trust-anchors/{id}/jwks": ({ anchor }) => [
    { params: { id: anchor } },
    { params: { id: anchor }, headers: { "if-none-match": "*" }, status: 304 }
  ],
  "GET /api/trust-document": ({ namespace }) => [{}, { query: { namespace } }],

  "GET /api/pinned-keys": ({ aid, namespace }) => [
    {},
    { query: { namespace, aid } },
    { query: { limit: "1" } }
  ],
  "POST /api/pinned-keys": () => [
    { body: { ...newPin(), label: "l", expiresAt: "2030-01-01T00:00:00Z" } },
    { body: newPin(), headers: { "idempotency-key": randomUUID() } }
  ],
  "DELETE /api/pinned-keys": () =>
    Effect.map(pin(newPin()), ({ aid, namespace }) => [{ query: { aid, namespace } }])
}
