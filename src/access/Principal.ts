import { createHash } from "node:crypto"
import { DEFAULT_ORG, type OrgId, type Visibility, visibleToAll } from "./Visibility.ts"

/** Who makes a request, resolved once at the edge; handlers and stores see nothing else of the credential. */
export interface Principal {
  /**
   * `platform`: an entry of `API_KEYS`, or anyone while the service is open (no keys, not production).
   * `agent`: holder of an enrollment token, on the registration route only.
   * `anonymous`: nobody in particular, on public routes. `system`: the service's own jobs.
   */
  readonly kind: "platform" | "agent" | "anonymous" | "system"
  /** Written to `reportedBy` and to the admin audit: `apikey:<16 hex>`, `agent:<aid>`, `anonymous` or `system`. */
  readonly actorId: string
  readonly visibility: Visibility
  /** Organisation whose id space the caller's event ids live in; the default one for platform keys. */
  readonly owner: OrgId
  /** SHA-256 of the credential, hex; part of idempotency identities and of derived event ids. Empty: none was used. */
  readonly credentialHash: string
}

const unbound = { visibility: visibleToAll, owner: DEFAULT_ORG } as const

const sha256Hex = (text: string) => createHash("sha256").update(text).digest("hex")

/** A caller that presented an entry of `API_KEYS`. */
export const platform = (apiKey: string): Principal => {
  const credentialHash = sha256Hex(apiKey)
  return { kind: "platform", actorId: `apikey:${credentialHash.slice(0, 16)}`, credentialHash, ...unbound }
}

/** Anyone, while no API keys are configured outside production. */
export const open: Principal = { kind: "platform", actorId: "anonymous", credentialHash: "", ...unbound }

export const anonymous: Principal = {
  kind: "anonymous",
  actorId: "anonymous",
  credentialHash: "",
  ...unbound
}

export const system: Principal = { kind: "system", actorId: "system", credentialHash: "", ...unbound }

/** The agent that redeems its enrollment token. */
export const enrollingAgent = (aid: string, token: string): Principal => ({
  kind: "agent",
  actorId: `agent:${aid}`,
  credentialHash: sha256Hex(token),
  ...unbound
})
