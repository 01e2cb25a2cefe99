import { hash, timingSafeEqual } from "node:crypto"
import { Redacted } from "effect"
import { type AccessRule, isGated } from "../access/Access.ts"
import { anonymous, open, platform, type Principal } from "../access/Principal.ts"
import { InvalidApiKey, ServerMisconfigured } from "../wire/errors.ts"

/** Who a request comes from, or why it is refused. */
export type Admission = Principal | InvalidApiKey | ServerMisconfigured

/** Reads the credential of a request; gated says whether the route needs one. */
export interface ApiKeys {
  /** For a known route. */
  readonly admit: (authorization: string | undefined, access: AccessRule) => Admission
  /** For a path under `/api` that no endpoint has: gated like everything that is not listed as public. */
  readonly admitUnknown: (authorization: string | undefined) => Admission
  /** Whether gated routes are open to everyone: no keys, not production. */
  readonly isOpen: boolean
}

const digest = (key: string): Buffer => hash("sha256", key, "buffer")

/** The key in an `Authorization` value: after `Bearer`, or the bare value. */
export const keyOf = (authorization: string): string => {
  const value = authorization.trim()
  return /^bearer(?:\s|$)/i.test(value) ? value.slice(6).trim() : value
}

/** Keys are compared by digest, all of them every time, so that timing tells neither which matched nor how much. */
export const make = (keys: ReadonlyArray<Redacted.Redacted>, production: boolean): ApiKeys => {
  const entries = keys.map((key) => ({
    digest: digest(Redacted.value(key)),
    principal: platform(Redacted.value(key))
  }))
  // rendered only, never thrown: one value serves all requests
  const refused = new InvalidApiKey({})
  const misconfigured = new ServerMisconfigured({})

  const find = (authorization: string | undefined): Principal | undefined => {
    if (authorization === undefined || entries.length === 0) return undefined
    const presented = digest(keyOf(authorization))
    let found: Principal | undefined
    for (const entry of entries) {
      if (timingSafeEqual(presented, entry.digest)) found = entry.principal
    }
    return found
  }

  const admitGated = (authorization: string | undefined): Admission => {
    if (entries.length === 0) return production ? misconfigured : open
    return find(authorization) ?? refused
  }

  return {
    admit: (authorization, access) => {
      if (isGated(access)) return admitGated(authorization)
      // an enrollment token travels in the same header and must not be taken for a key
      return (access._tag === "public" && find(authorization)) || anonymous
    },
    admitUnknown: admitGated,
    isOpen: entries.length === 0 && !production
  }
}
