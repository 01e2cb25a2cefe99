/** Closed vocabulary of what a scoped credential may open. AITP grants are another vocabulary: they contain dots. */
export const SCOPES = [
  "agents:read",
  "agents:write",
  "agents:self",
  "agents:register",
  "tokens:read",
  "events:read",
  "events:write",
  "audit:read",
  "webhooks:read",
  "webhooks:write",
  "analytics:read",
  "compliance:read",
  "revocations:write",
  "trust:read",
  "trust:write",
  "clients:read",
  "clients:write",
  "billing:write",
  "admin:orgs"
] as const

export type Scope = (typeof SCOPES)[number]
