import { Effect } from "effect"
import { mintManifest } from "../aitp/mint-manifest.ts"
import { joined, newAgent, tokenFor } from "../service/agents.ts"
import { API_KEY } from "../service/Service.ts"
import type { Examples } from "./example.ts"

const PROBLEM = "application/problem+json"
const HEALTH = { headers: { accept: "application/health+json" } }
const refused = (): ReadonlyArray<{ readonly status: number }> => [{ status: 403 }]

/** Agents, the service's own identity, and what it says of itself. */
export const registryExamples: Examples = {
  "POST /api/registry/enroll": () => [{ body: mintManifest(newAgent()).envelope }],
  "POST /api/registry/agents": () =>
    Effect.forEach([{}, { "x-aitp-namespace": "näming" }], (headers) => {
      const minted = mintManifest(newAgent())
      return Effect.map(tokenFor(minted), (token) => ({
        body: minted.envelope,
        headers: { authorization: `Bearer ${token}`, ...headers }
      }))
    }),
  "GET /api/registry/agents": ({ aid, namespace }) => [
    {},
    { query: { namespace, include_manifest: "true" } },
    { query: { aid, status: "all", capability: "demo.echo", display_name: aid } },
    { query: { limit: "1" } }
  ],
  "GET /api/registry/agents/{aid}": ({ aid, goneAid }) => [
    { params: { aid } },
    { params: { aid: goneAid } },
    { params: { aid }, headers: { "if-none-match": "*" }, status: 304 }
  ],
  "DELETE /api/registry/agents/{aid}": () =>
    Effect.map(joined(), ({ aid }) => [{ params: { aid } }, { params: { aid } }]),
  "GET /api/registry/agents/{aid}/manifest": ({ aid, goneAid }) => [
    { params: { aid } },
    { params: { aid: goneAid }, headers: { authorization: `Bearer ${API_KEY}` } },
    { params: { aid: goneAid }, status: 410 },
    { params: { aid: goneAid }, headers: { accept: PROBLEM }, status: 410 },
    { params: { aid }, headers: { "if-none-match": "*" }, status: 304 }
  ],
  "GET /api/registry/agents/{aid}/export": ({ aid, goneAid }) => [
    { params: { aid } },
    { params: { aid }, query: { format: "jsonl", event_limit: "3" } },
    { params: { aid: goneAid } }
  ],

  "GET /.well-known/aitp-manifest": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /api/well-known/aitp-manifest": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /api/aitp/handshake/hello": refused,
  "POST /api/aitp/handshake/hello": refused,
  "PUT /api/aitp/handshake/hello": refused,
  "PATCH /api/aitp/handshake/hello": refused,
  "DELETE /api/aitp/handshake/hello": refused,

  "GET /api/health": () => [{}, HEALTH],
  "GET /api/livez": () => [{}],
  "GET /api/readyz": () => [{}, HEALTH],
  "GET /api/metrics": () => [{}],
  "GET /openapi.json": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /docs": () => [{}],
  "GET /errors/{code}": () => [{ params: { code: "NOT_FOUND" } }],
  "GET /.well-known/api-catalog": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /.well-known/security.txt": () => [{}],
  "GET /.well-known/jwks.json": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }]
}
