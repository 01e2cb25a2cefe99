import { type DelegationContribution, delegationContributions } from "../delegations/contribution.ts"
import { isRevocation, type RevocationContribution, revocationContribution } from "../revocation/facts.ts"
import { isHandshake, type SessionContribution, sessionContribution } from "../sessions/contribution.ts"
import { type TctContribution, tctArtifacts, tctContribution } from "../tcts/contribution.ts"
import type { Artifact, ReportedEvent } from "./artifact.ts"

/** What one event says to the projections. */
export interface Contributions {
  readonly session: SessionContribution | undefined
  readonly tcts: ReadonlyArray<TctContribution>
  /** The delegation, then the hops of its chain. */
  readonly delegations: ReadonlyArray<DelegationContribution>
  readonly revocation: RevocationContribution | undefined
}

/** `OBSERVED_ARTIFACT_VERIFICATION`: `off` and `warn` project everything, `strict` only what a signature covers. */
export type ArtifactVerification = "off" | "warn" | "strict"

/** Why something that should have been projected was not: label of `projection_skipped_total`. */
export const SKIPPED_KINDS = ["session", "tct", "delegation", "revocation", "unverified"] as const
export type SkippedKind = (typeof SKIPPED_KINDS)[number]

export interface ReadContributions {
  readonly contributions: Contributions
  readonly skipped: ReadonlyArray<SkippedKind>
  /** Artifacts whose token was checked and does not cover them. */
  readonly failed: number
}

const NOTHING: ReadContributions = {
  contributions: { session: undefined, tcts: [], delegations: [], revocation: undefined },
  skipped: [],
  failed: 0
}

/** Types that must carry a TCT; a handshake may complete without reporting one. */
const mustCarryTct: ReadonlySet<string> = new Set(["tct.issued", "tct.renewal.issued"])

const prefixes = ["handshake.", "tct.", "delegation."]

/** Reads an event for the projections (contract §7.4). Events of other types say nothing. */
export const readContributions = (
  event: ReportedEvent,
  verification: ArtifactVerification
): ReadContributions => {
  const { type } = event
  if (!prefixes.some((prefix) => type.startsWith(prefix))) return NOTHING
  const skipped: Array<SkippedKind> = []
  let failed = 0

  const isAdmitted = <A extends { readonly signatureVerified: boolean | null }>(
    read: A | undefined,
    kind: "tct" | "delegation"
  ): read is A => {
    if (read?.signatureVerified === false) failed += 1
    if (read !== undefined && (verification !== "strict" || read.signatureVerified === true)) return true
    skipped.push(read === undefined ? kind : "unverified")
    return false
  }

  const artifacts = tctArtifacts(event)
  if (artifacts.length === 0 && mustCarryTct.has(type)) skipped.push("tct")
  const tcts: Array<TctContribution> = []
  let carried: Artifact | undefined
  for (const artifact of artifacts) {
    const tct = artifact && tctContribution(artifact, event.sessionId, event.tokens)
    const admitted = isAdmitted(tct, "tct")
    if (admitted) tcts.push(tct)
    if (admitted || verification !== "strict") carried ??= artifact
  }

  const session = sessionContribution(event, carried)
  if (session === undefined && isHandshake(type)) skipped.push("session")
  const revocation = revocationContribution(event)
  if (revocation === undefined && isRevocation(type)) skipped.push("revocation")
  return {
    contributions: {
      session,
      tcts,
      delegations: delegationContributions(event).filter((each) => isAdmitted(each, "delegation")),
      revocation
    },
    skipped,
    failed
  }
}
