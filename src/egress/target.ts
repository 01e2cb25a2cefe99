import { Result } from "effect"
import * as Host from "effect/net/Host"
import * as IpNetwork from "effect/net/IpNetwork"
import type { IpAddress } from "effect/net/NetAddress"
import { TargetRefused } from "./model.ts"
import { type Addresses, literalOf } from "./names.ts"
import type { TargetPolicy } from "./policy.ts"
import { isBlockedPort, isPublicPort } from "./ports.ts"
import { specialRange, unmapped } from "./special-ranges.ts"

/** The place a connection goes to, as the URL parser reads it. */
export interface Place {
  /** With the colon. */
  readonly protocol: string
  /** A name in ASCII, or an address, IPv6 without brackets. */
  readonly hostname: string
  /** Empty for the scheme's own. */
  readonly port: string
}

const refuse = (rule: TargetRefused["rule"], reason: string) =>
  Result.fail(new TargetRefused({ rule, reason }))

const isListed = (hostname: string, hosts: ReadonlyArray<string>): boolean =>
  hosts.some(
    (host) =>
      host === hostname || (host.startsWith(".") && (hostname.endsWith(host) || hostname === host.slice(1)))
  )

/** What only targets inside `allowCidrs` are spared. */
const outsideRefusal = ({ protocol, port }: Place, policy: TargetPolicy): TargetRefused | undefined => {
  if (protocol === "http:" && !policy.allowHttp)
    return new TargetRefused({ rule: "scheme", reason: "the scheme must be https" })
  return port === "" || isPublicPort(Number(port))
    ? undefined
    : new TargetRefused({ rule: "port", reason: `port ${port} is not allowed` })
}

/** Reads a URL and applies every rule that needs no address. */
export const readTarget = (
  text: string,
  policy: TargetPolicy
): Result.Result<{ readonly url: URL; readonly place: Place }, TargetRefused> => {
  const url = URL.parse(text)
  if (url === null) return refuse("url", "not a URL")
  const { protocol, port } = url
  if (protocol !== "https:" && protocol !== "http:")
    return refuse("scheme", "the scheme must be https or http")
  if (url.username !== "" || url.password !== "") return refuse("credentials", "the URL holds credentials")
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1")
  if (literalOf(hostname) === undefined && Result.isFailure(Host.domainNameFromString(hostname)))
    return refuse("url", "the host is malformed")
  if (policy.hosts.length > 0 && !isListed(url.hostname.replace(/\.$/, ""), policy.hosts))
    return refuse("host", "the host is not on the allow list")
  if (port !== "" && isBlockedPort(Number(port))) return refuse("port", `port ${port} is not allowed`)
  const place: Place = { protocol, hostname, port }
  const refusal = policy.allowCidrs.length === 0 ? outsideRefusal(place, policy) : undefined
  return refusal === undefined ? Result.succeed({ url, place }) : Result.fail(refusal)
}

/** The verdict on all addresses of a place; undefined when it may be connected to at any of them. */
export const addressesRefusal = (
  place: Place,
  addresses: Addresses,
  policy: TargetPolicy
): TargetRefused | undefined => {
  const isInside = (address: IpAddress) =>
    policy.allowCidrs.some((network) => IpNetwork.contains(network, unmapped(address)))
  if (addresses.every(isInside)) return undefined
  const refusal = outsideRefusal(place, policy)
  if (refusal !== undefined) return refusal
  const special = addresses.map(specialRange).find((name) => name !== undefined)
  if (special === undefined) return undefined
  // Where a name points to inside the network is not the caller's business; what the caller wrote is.
  const reason =
    literalOf(place.hostname) === undefined
      ? "the host has an address that is not public"
      : `the address is not public (${special})`
  return new TargetRefused({ rule: "address", reason })
}
