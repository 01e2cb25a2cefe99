import { Schema } from "effect"

export const AgentStatus = Schema.Literals(["active", "expired", "deregistered"])
export type AgentStatus = typeof AgentStatus.Type

/** A registered agent as the registry keeps it. */
export interface Agent {
  /** As the agent spells it. */
  readonly aid: string
  readonly displayName: string
  readonly handshakeEndpoint: string
  readonly offeredCaps: ReadonlyArray<string>
  /** An active agent whose manifest has run out counts as expired before the sweep has marked it. */
  readonly status: AgentStatus
  readonly namespace: string
  readonly registeredAt: Date
  readonly lastEnrolledAt: Date
  readonly lastSeenAt: Date | null
  readonly deregisteredAt: Date | null
  readonly manifestExpiresAt: Date
  readonly manifestPublishedAt: Date
  /** SHA-256 of the canonical manifest with its signature. */
  readonly manifestSha256: Uint8Array
  readonly verifiedAt: Date
  readonly conformanceFindings: ReadonlyArray<string>
}

/** What the registry keeps besides, for the export. */
export interface AgentDetails extends Agent {
  /** The registered body, byte for byte. */
  readonly manifestJson: string
  readonly org: string | null
  readonly cloud: string | null
  readonly metadata: unknown
}

/** The enrollment secret is missing or too short, so that no token can be minted or checked. */
export class EnrollmentUnavailable extends Schema.TaggedError<EnrollmentUnavailable>()(
  "EnrollmentUnavailable",
  {}
) {}

/** A body that is no enrolment at all. */
export class EnrollmentBodyInvalid extends Schema.TaggedError<EnrollmentBodyInvalid>()(
  "EnrollmentBodyInvalid",
  {
    message: Schema.String
  }
) {}

const refusal = {
  message: Schema.String,
  /** Vocabulary of the agent SDKs; absent when a limit of this service refused. */
  verifyCode: Schema.optionalKey(Schema.String),
  /** Vocabulary of the AITP error registry. */
  protocolCode: Schema.optionalKey(Schema.String)
}

export class ManifestUnacceptable extends Schema.TaggedError<ManifestUnacceptable>()(
  "ManifestUnacceptable",
  refusal
) {}

/** At registration: the manifest has run out or will within 300 s. */
export class ManifestTooOld extends Schema.TaggedError<ManifestTooOld>()("ManifestTooOld", refusal) {}

/** A newer manifest of this AID is known, or this is the one it was deregistered with. */
export class ManifestOutdated extends Schema.TaggedError<ManifestOutdated>()("ManifestOutdated", {}) {}

/** The key is registered under its other spelling. */
export class OtherSpellingRegistered extends Schema.TaggedError<OtherSpellingRegistered>()(
  "OtherSpellingRegistered",
  {
    aid: Schema.String
  }
) {}

export class TokenUnusable extends Schema.TaggedError<TokenUnusable>()("TokenUnusable", {}) {}

export class TokenSpent extends Schema.TaggedError<TokenSpent>()("TokenSpent", {}) {}

export class AgentNotFound extends Schema.TaggedError<AgentNotFound>()("AgentNotFound", {}) {}
