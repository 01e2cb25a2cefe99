import type { Settings } from "../config.ts"
import type { IpNetwork } from "effect/net/IpNetwork"

/** Which targets one purpose may reach. Make it once per purpose. */
export interface TargetPolicy {
  /**
   * Hosts in the spelling of the URL parser; one with a leading dot stands for itself without the dot and for its
   * subdomains. Empty: any host. Being listed does not lift the check of the address.
   */
  readonly hosts: ReadonlyArray<string>
  /** A target is allowed, although not public and over either scheme, when all its addresses lie inside these. */
  readonly allowCidrs: ReadonlyArray<IpNetwork>
  /** Whether `http:` may go to public addresses; never in production. */
  readonly allowHttp: boolean
}

/** Where webhooks may be delivered. */
export const webhookTargets = (settings: Settings): TargetPolicy => ({
  hosts: settings.webhooks.urlAllowlist,
  allowCidrs: settings.webhooks.allowCidrs,
  allowHttp: !settings.production
})
