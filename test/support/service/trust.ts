import { createHash } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Answer, read } from "./client.ts"
import { anyService, API_KEY, isRemote, ownService } from "./Service.ts"
import { ask } from "./webhooks.ts"

export const ANCHORS = "/api/trust-anchors"
export const PINS = "/api/pinned-keys"
export const DOCUMENT = "/api/trust-document"

/** Actor of everything done with the API key of the suites. */
export const ACTOR = `apikey:${createHash("sha256").update(API_KEY).digest("hex").slice(0, 16)}`

/** A service that fetches nothing by itself. */
export const quietService = isRemote ? anyService : ownService({ JWKS_REFRESH_ENABLED: "false" })

export interface AnchorRow {
  readonly id: string
  readonly namespace: string
  readonly issuerUrl: string
  readonly jwksUrl: string | null
  readonly label: string | null
  readonly jwksCachedAt: string | null
  readonly addedBy: string
  readonly createdAt: string
  readonly updatedAt: string
  readonly jwksStale: boolean
  readonly jwksError: string | null
}

export interface AnchorPage {
  readonly trustAnchors: ReadonlyArray<AnchorRow>
  readonly count: number
  readonly nextCursor: string | null
}

export interface PinRow {
  readonly namespace: string
  readonly aid: string
  readonly pubkey: string
  readonly label: string | null
  readonly expiresAt: string | null
  readonly addedBy: string
  readonly createdAt: string
  readonly updatedAt: string
  readonly keyMatchesAid: boolean | null
}

export interface PinPage {
  readonly pinnedKeys: ReadonlyArray<PinRow>
  readonly count: number
  readonly nextCursor: string | null
}

export interface AuditRow {
  readonly action: string
  readonly actorId: string
  readonly targetId: string
  readonly details: unknown
  readonly requestId: string
}

const created = <Row>(answer: Answer): Row => {
  assert.strictEqual(answer.status, 201, answer.text)
  return answer.json<Row>()
}

export const anchorPath = (id: string, suffix = "") => `${ANCHORS}/${id}${suffix}`

/** An anchor that must be created. */
export const anchor = (body: unknown) => Effect.map(ask("POST", ANCHORS, body), created<AnchorRow>)

export const getAnchor = (id: string) => read<AnchorRow>(anchorPath(id))

/** A pin that must be made. */
export const pin = (body: unknown) => Effect.map(ask("POST", PINS, body), created<PinRow>)

/** Path of one pin. */
export const pinPath = (query: Readonly<Record<string, string>>) =>
  `${PINS}?${new URLSearchParams(query).toString()}`

/** The audit of one target, oldest first. */
export const auditOf = (targetId: string) =>
  Effect.map(
    read<{ readonly entries: ReadonlyArray<AuditRow> }>(
      `/api/audit?${new URLSearchParams({ targetId, limit: "1000" }).toString()}`
    ),
    ({ entries }) =>
      entries
        .map(({ action, actorId, details, requestId }) => ({ action, actorId, details, requestId }))
        .toReversed()
  )
