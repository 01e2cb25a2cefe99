import { randomBytes } from "node:crypto"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { AidForm } from "../../../src/aitp/aid.ts"
import { makeAgent, type TestAgent } from "../aitp/agent.ts"
import { type MintedManifest, mintManifest } from "../aitp/mint-manifest.ts"
import { type Answer, send } from "./client.ts"

/** A principal that no service has met. */
export const newAgent = (form?: AidForm): TestAgent =>
  makeAgent({ seed: randomBytes(32), ...(form === undefined ? {} : { form }) })

/** Tells apart what tests of a shared service make. */
export const unique = (name: string): string => `${name}-${randomBytes(6).toString("hex")}`

export const nowSecs = (): number => Math.floor(Date.now() / 1000)

/** Sends an enrolment; the body is an envelope, its text, or anything wrong. */
export const enroll = (body: unknown) => send("/api/registry/enroll", { body })

/** The one-time token of an enrolment that must succeed. */
export const tokenFor = (minted: Pick<MintedManifest, "text">) =>
  Effect.map(enroll(minted.text), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json<{ readonly token: string }>().token
  })

/** Sends a registration. */
export const register = (body: unknown, token: string, headers: Readonly<Record<string, string>> = {}) =>
  send("/api/registry/agents", { body, headers: { authorization: `Bearer ${token}`, ...headers } })

/** Enrols and registers; must succeed. */
export const join = Effect.fnUntraced(function* (
  minted: Pick<MintedManifest, "text">,
  headers: Readonly<Record<string, string>> = {}
) {
  const answer: Answer = yield* register(minted.text, yield* tokenFor(minted), headers)
  assert.strictEqual(answer.status, 201, answer.text)
  return answer.json<{ readonly aid: string; readonly registeredAt: string }>()
})

/** A registered agent that no service had met. */
export const joined = Effect.fnUntraced(function* (
  overrides: Readonly<Record<string, unknown>> = {},
  namespace?: string
) {
  const agent = newAgent()
  const minted = mintManifest(agent, overrides)
  const answer = yield* join(minted, namespace === undefined ? {} : { "x-aitp-namespace": namespace })
  return { agent, aid: agent.aid, minted, answer }
})

export const agentPath = (aid: string, suffix = ""): string =>
  `/api/registry/agents/${encodeURIComponent(aid)}${suffix}`

/** An agent as discovery and the record show it. */
export interface AgentRow {
  readonly aid: string
  readonly displayName: string
  readonly handshakeEndpoint: string
  readonly offeredCaps: ReadonlyArray<string>
  readonly status: string
  readonly namespace: string
  readonly registeredAt: string
  readonly lastEnrolledAt: string | null
  readonly lastSeenAt: string | null
  readonly manifestUrl: string
  readonly agentManifestHint: string | null
  readonly conformanceFindings: ReadonlyArray<string>
  readonly manifestJson?: string
}

export interface AgentPage {
  readonly agents: ReadonlyArray<AgentRow>
  readonly count: number
  readonly nextCursor: string | null
}
