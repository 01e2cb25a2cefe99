import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"

/** Customers are given a /64 at least, so that one of them has 2^64 addresses. */
const IPV6_PREFIX = 64

/** Address with port, or in brackets, as some proxies write it. */
const DECORATED = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d{1,5})?$/i

const keyOfIpv6 = (text: string): string => {
  const zone = text.indexOf("%")
  const address = NetAddress.toCanonical(
    NetAddress.ipFromStringUnsafe(zone === -1 ? text : text.slice(0, zone))
  )
  return NetAddress.isIpv6Address(address)
    ? IpNetwork.format(IpNetwork.fromAddressUnsafe(address, IPV6_PREFIX))
    : NetAddress.formatIp(address)
}

/**
 * What an address is counted by: itself, or the network of an IPv6 one; undefined when the text is no address. Always a
 * text of its own, since a part of a header would keep all of the header in memory.
 */
const keyOf = (text: string): string | undefined => {
  switch (isIP(text)) {
    case 4:
      return text.split(".").join(".")
    case 6:
      return keyOfIpv6(text)
    default:
      return undefined
  }
}

const keyOfClaim = (claim: string): string | undefined => {
  const key = keyOf(claim)
  if (key !== undefined) return key
  const [, bracketed, withPort] = DECORATED.exec(claim) ?? []
  return keyOf(bracketed ?? withPort ?? "")
}

const textOf = (value: string | ReadonlyArray<string> | undefined): string | undefined =>
  typeof value === "string" && value.trim() !== "" ? value : undefined

const firstOf = (list: string): string => {
  const comma = list.indexOf(",")
  return (comma === -1 ? list : list.slice(0, comma)).trim()
}

/** The n-th entry from the right: what the outermost of n proxies saw. Those further left are the client's own words. */
const fromRight = (list: string, n: number): string | undefined => {
  let end = list.length
  for (let passed = 1; passed < n; passed += 1) {
    end = list.lastIndexOf(",", end - 1)
    if (end <= 0) return undefined
  }
  return list.slice(list.lastIndexOf(",", end - 1) + 1, end).trim()
}

/** What trusted headers say the client's address is; undefined when they say nothing. */
const claimOf = (
  headers: IncomingMessage["headers"],
  header: string | undefined,
  hops: number
): string | undefined => {
  const named = header === undefined ? undefined : textOf(headers[header])
  if (named !== undefined) return firstOf(named)
  if (hops === 0) return undefined
  const forwarded = textOf(headers["x-forwarded-for"])
  const seen = forwarded === undefined ? undefined : fromRight(forwarded, hops)
  return seen ?? textOf(headers["x-real-ip"])?.trim()
}

/**
 * Reader of the address that a request is counted by. Only headers that are configured are believed, the first that is
 * there decides, and where it holds no address the peer's own counts: a proxy's mishap then limits too many together
 * rather than nobody.
 * @param header name of the header in which a trusted proxy gives the client's address
 * @param hops proxies in front of the service that append to `X-Forwarded-For`
 */
export const make =
  (header: string | undefined, hops: number) =>
  ({ headers, socket }: IncomingMessage): string => {
    const claim = claimOf(headers, header, hops)
    const claimed = claim === undefined ? undefined : keyOfClaim(claim)
    if (claimed !== undefined) return claimed
    const peer = socket.remoteAddress ?? "gone" // a closed socket has none
    return peer.includes(":") ? keyOfIpv6(peer) : peer
  }
