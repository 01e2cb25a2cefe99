import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import { privateNetworks } from "../aitp/private-host.ts"

/**
 * The ranges of the IANA special-purpose registries (RFC 6890) and of multicast that no request may reach, in the order
 * in which they are looked through: a range before one that holds it. Documentation ranges are not among them: nothing
 * answers there. `docs/egress.md` says the same in prose.
 */
interface SpecialRange {
  readonly network: IpNetwork.IpNetwork
  readonly name: string
  /** The IPv4 addresses that packets to an address of this range end at; they decide in its place. */
  readonly embedded?: (segments: NetAddress.Ipv6Segments) => ReadonlyArray<NetAddress.Ipv4Address>
}

const ipv4 = (high: number, low: number): NetAddress.Ipv4Address =>
  NetAddress.ipv4FromBytesUnsafe(Uint8Array.of(high >> 8, high & 0xff, low >> 8, low & 0xff))

const lastOf = (segments: NetAddress.Ipv6Segments) => [ipv4(segments[6], segments[7])]

const range = (cidr: string, name: string, embedded?: SpecialRange["embedded"]): SpecialRange => ({
  network: IpNetwork.fromStringUnsafe(cidr),
  name,
  ...(embedded === undefined ? {} : { embedded })
})

const ranges: ReadonlyArray<SpecialRange> = [
  ...privateNetworks.map((network) => ({ network, name: "loopback, private or link-local" })),

  range("0.0.0.0/8", "this network"), // RFC 791, RFC 1122
  range("100.64.0.0/10", "shared address space"), // RFC 6598
  range("192.0.0.0/24", "IETF protocol assignments"), // RFC 6890
  range("192.31.196.0/24", "AS112"), // RFC 7535
  range("192.52.193.0/24", "AMT"), // RFC 7450
  range("192.88.99.0/24", "6to4 relay anycast"), // RFC 7526
  range("192.175.48.0/24", "AS112"), // RFC 7534
  range("198.18.0.0/15", "benchmarking"), // RFC 2544
  range("224.0.0.0/4", "multicast"), // RFC 5771
  range("255.255.255.255/32", "limited broadcast"), // RFC 919
  range("240.0.0.0/4", "reserved"), // RFC 1112

  range("::/128", "unspecified"), // RFC 4291
  range("::/96", "IPv4-compatible", lastOf), // RFC 4291
  range("64:ff9b::/96", "NAT64", lastOf), // RFC 6052
  range("64:ff9b:1::/48", "local NAT64"), // RFC 8215
  range("100::/64", "discard-only"), // RFC 6666
  range("100:0:0:1::/64", "dummy prefix"), // RFC 9780
  // RFC 4380: the server's address, and the client's with every bit inverted
  range("2001::/32", "Teredo", (segments) => [
    ipv4(segments[2], segments[3]),
    ipv4(segments[6] ^ 0xffff, segments[7] ^ 0xffff)
  ]),
  range("2001::/23", "IETF protocol assignments"), // RFC 2928
  range("2002::/16", "6to4", (segments) => [ipv4(segments[1], segments[2])]), // RFC 3056
  range("2620:4f:8000::/48", "AS112"), // RFC 7534
  range("5f00::/16", "segment routing"), // RFC 9602
  range("fec0::/10", "site-local"), // RFC 3879
  range("ff00::/8", "multicast") // RFC 4291
]

/** RFC 4291, section 2.4, and the IANA IPv6 address space: nothing else is global unicast. */
const globalUnicast = IpNetwork.fromStringUnsafe("2000::/3")

/** RFC 5214: an interface identifier that holds an IPv4 address, below any prefix. */
const isIsatap = (segments: NetAddress.Ipv6Segments) => (segments[4] & 0xfdff) === 0 && segments[5] === 0x5efe

const embeddedName = (name: string, addresses: ReadonlyArray<NetAddress.Ipv4Address>) => {
  const inner = addresses.map(specialRange).find((found) => found !== undefined)
  return inner === undefined ? undefined : `${name} of ${inner}`
}

/** An IPv4-mapped address (RFC 4291) as the IPv4 address that a socket opened to it really uses; others as they are. */
export const unmapped = (address: NetAddress.IpAddress): NetAddress.IpAddress => {
  if (NetAddress.isIpv4Address(address) || !NetAddress.isIpv4Mapped(address)) return address
  const segments = NetAddress.ipv6ToSegments(address)
  return ipv4(segments[6], segments[7])
}

/** The special-purpose range an address belongs to, by name; undefined for a public address. */
export const specialRange = (given: NetAddress.IpAddress): string | undefined => {
  const address = unmapped(given)
  const found = ranges.find(({ network }) => IpNetwork.contains(network, address))
  if (NetAddress.isIpv4Address(address)) return found?.name
  const segments = NetAddress.ipv6ToSegments(address)
  if (found !== undefined)
    return found.embedded === undefined ? found.name : embeddedName(found.name, found.embedded(segments))
  if (!IpNetwork.contains(globalUnicast, address)) return "reserved"
  return isIsatap(segments) ? embeddedName("ISATAP", lastOf(segments)) : undefined
}
