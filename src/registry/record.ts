import { Schema } from "effect"
import { type Agent, type AgentDetails, AgentStatus } from "./model.ts"

const Instant = Schema.String.annotate({ format: "date-time" })

/** An agent as discovery shows it. Nothing in it says that the agent is to be trusted: peers verify the manifest. */
export const AgentRecord = Schema.Struct({
  /** As the agent spells it (RFC-AITP-0001 §5.3). */
  aid: Schema.String,
  /** `display_name` of the manifest, else the AID; never a trust input. */
  displayName: Schema.String,
  handshakeEndpoint: Schema.String,
  /** `offered_capabilities` of the manifest. */
  offeredCaps: Schema.Array(Schema.String),
  status: AgentStatus,
  namespace: Schema.String,
  /** First registration of this AID. */
  registeredAt: Instant,
  lastEnrolledAt: Schema.NullOr(Instant),
  /** When an event last named it; up to 10 s old. */
  lastSeenAt: Schema.NullOr(Instant),
  /** Path of the manifest as received. */
  manifestUrl: Schema.String,
  /** Where the agent may publish its manifest itself: a guess from its endpoint, not verified. */
  agentManifestHint: Schema.NullOr(Schema.String),
  /** Copy of `handshakeEndpoint` under its old name. */
  handshake_endpoint: Schema.String,
  manifestExpiresAt: Instant,
  /** `published_at` of the manifest. */
  publishedAt: Instant,
  /** SHA-256 of the canonical manifest with its signature, hex. */
  manifestSha256: Schema.String,
  /** That this service has verified the manifest's signatures, at `verifiedAt`. */
  verified: Schema.Boolean,
  verifiedAt: Instant,
  /** Departures from RFC-AITP-0003 that the `compat` profile tolerated. */
  conformanceFindings: Schema.Array(Schema.String),
  /** The registered body, byte for byte; only with `include_manifest=true`. */
  manifestJson: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Agent" })

/** Path under which an agent's manifest is served. */
export const manifestUrl = (aid: string): string => `/api/registry/agents/${encodeURIComponent(aid)}/manifest`

const manifestHint = (endpoint: string): string | null => {
  if (!URL.canParse(endpoint)) return null
  const { host, protocol } = new URL(endpoint)
  return host === "" ? null : `${protocol}//${host}/.well-known/aitp-manifest`
}

/** The record of an agent, with its manifest when that was read too. */
export const agentRecord = (agent: Agent & { readonly manifestJson?: string }): typeof AgentRecord.Type => ({
  aid: agent.aid,
  displayName: agent.displayName,
  handshakeEndpoint: agent.handshakeEndpoint,
  offeredCaps: agent.offeredCaps,
  status: agent.status,
  namespace: agent.namespace,
  registeredAt: agent.registeredAt.toISOString(),
  lastEnrolledAt: agent.lastEnrolledAt.toISOString(),
  lastSeenAt: agent.lastSeenAt?.toISOString() ?? null,
  manifestUrl: manifestUrl(agent.aid),
  agentManifestHint: manifestHint(agent.handshakeEndpoint),
  handshake_endpoint: agent.handshakeEndpoint,
  manifestExpiresAt: agent.manifestExpiresAt.toISOString(),
  publishedAt: agent.manifestPublishedAt.toISOString(),
  manifestSha256: Buffer.from(agent.manifestSha256).toString("hex"),
  verified: true,
  verifiedAt: agent.verifiedAt.toISOString(),
  conformanceFindings: agent.conformanceFindings,
  ...(agent.manifestJson === undefined ? {} : { manifestJson: agent.manifestJson })
})

/** The agent of an export: the record, and what only operators see. */
export const AgentExportRecord = Schema.Struct({
  ...AgentRecord.fields,
  org: Schema.NullOr(Schema.String),
  cloud: Schema.NullOr(Schema.String),
  metadata: Schema.Unknown,
  deregisteredAt: Schema.NullOr(Instant)
}).annotate({ identifier: "ExportedAgent" })

/** An agent as exports carry it. */
export const agentExport = (agent: AgentDetails): typeof AgentExportRecord.Type => ({
  ...agentRecord(agent),
  org: agent.org,
  cloud: agent.cloud,
  metadata: agent.metadata,
  deregisteredAt: agent.deregisteredAt?.toISOString() ?? null
})
