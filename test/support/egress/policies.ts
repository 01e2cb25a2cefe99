import * as IpNetwork from "effect/net/IpNetwork"
import type { TargetPolicy } from "../../../src/egress/policy.ts"

/** As in production with nothing configured. */
export const production: TargetPolicy = { hosts: [], allowCidrs: [], allowHttp: false }

export const development: TargetPolicy = { ...production, allowHttp: true }

/** Production, with these networks allowed. */
export const inside = (...cidrs: ReadonlyArray<string>): TargetPolicy => ({
  ...production,
  allowCidrs: cidrs.map(IpNetwork.fromStringUnsafe)
})

/** Production, with these hosts listed. */
export const listed = (...hosts: ReadonlyArray<string>): TargetPolicy => ({ ...production, hosts })
