import { randomUUID } from "node:crypto"
import type { Examples } from "./example.ts"

const JSON_LINES = { format: "jsonl" }
const all = { limit: "1000" }

/** Events and what follows from them: sessions, tokens, delegations, figures, the log. */
export const ledgerExamples: Examples = {
  "POST /api/events": ({ aid, runId }) => [
    { body: [{ type: "capability.invoked", aidA: aid, runId, payload: { capability: "demo.echo" } }] },
    { body: { events: [{ id: randomUUID(), type: "x" }] }, headers: { "idempotency-key": randomUUID() } },
    { body: [17, { type: "t".repeat(129) }, { ts: "2026-01-02T03:04:05Z", payload: { "\ud800": "\0" } }] }
  ],
  "GET /api/events": ({ position, runId }) => [
    { query: { after: position, limit: "2" } },
    { query: { after: "earliest", run_id: runId } },
    { query: { type: "nothing", wait: "0.05" } }
  ],
  "GET /api/events/history": ({ aid, namespace, runId, sessionId }) => [
    { query: all },
    { query: { aid, namespace, runId, sessionId, order: "asc", since: "1970-01-02", limit: "1" } }
  ],
  "GET /api/events/stream": ({ position, runId }) => [
    { query: { run_id: runId } },
    { query: { last_event_id: position, strict: "1" } },
    { headers: { "last-event-id": "earliest" } }
  ],
  "GET /api/events/{id}": ({ eventId }) => [{ params: { id: eventId } }],
  "GET /api/events/{id}/proof": ({ eventId }) => [
    { params: { id: eventId } },
    { params: { id: eventId }, headers: { accept: "application/json" } }
  ],

  "GET /api/sessions": ({ aid, runId }) => [
    { query: all },
    { query: { aid, run_id: runId, status: "completed" } },
    { query: { limit: "1" } }
  ],
  "GET /api/sessions/{sessionId}": ({ sessionId }) => [{ params: { sessionId } }],
  "GET /api/sessions/{sessionId}/export": ({ sessionId }) => [
    { params: { sessionId } },
    { params: { sessionId }, query: JSON_LINES }
  ],
  "GET /api/sessions/{sessionId}/replay": ({ sessionId }) => [
    { params: { sessionId }, query: { limit: "2" } },
    { params: { sessionId: "nobody knows it" }, query: { since: "2026-01-01", until: "2026-01-02" } }
  ],
  "GET /api/tcts": ({ aid, sessionId, tct }) => [
    { query: all },
    { query: { issuer: aid, session_id: sessionId, active: "true", limit: "1" } },
    { query: { jti: tct } }
  ],
  "GET /api/tcts/{jti}": ({ tct }) => [{ params: { jti: tct } }],
  "GET /api/delegations": ({ aid, tct }) => [
    { query: all },
    { query: { root_jti: tct } },
    { query: { parentJti: tct } },
    { query: { delegator: aid, limit: "1" } }
  ],
  "GET /api/dashboard/overview": () => [{}, { query: { range: "30d" } }],
  "GET /api/dashboard/agents": () => [{}, { query: { limit: "1" } }],

  "GET /log/checkpoint": () => [{}, { headers: { "if-none-match": "*" }, status: 304 }],
  "GET /log/key": () => [{}],
  "GET /log/tile/{level}/{place}": () => [{ params: { level: "0", place: "000.p/1" } }],
  "GET /log/tile/entries/{place}": () => [{ params: { place: "000.p/1" } }],
  "GET /log/consistency": () => [{}, { query: { from: "1", to: "2" } }],
  "GET /api/audit/verify": () => [{}, { query: { from: "1", to: "2" } }]
}
