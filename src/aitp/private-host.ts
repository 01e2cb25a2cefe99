import { Result } from "effect"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"

/** Loopback, private and link-local networks. */
export const privateNetworks = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "::1/128",
  "fc00::/7",
  "fe80::/10"
].map(IpNetwork.fromStringUnsafe)

const privateSuffix = /\.(?:local|internal|localhost|test)$/

/**
 * True for an `http:` URL whose host cannot be on the public internet: a loopback, private or link-local address, a
 * single-label name, or a name under .local, .internal, .localhost or .test. Nothing is resolved: the name alone decides.
 */
export const isPrivateHttpUrl = (text: string): boolean => {
  if (!text.startsWith("http://") || !URL.canParse(text)) return false
  // The URL parser folds case and every notation of an IPv4 address (0x7f.1, 2130706433) into one.
  const host = new URL(text).hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "")
  if (host === "") return false
  const address = NetAddress.ipFromString(host)
  return Result.isSuccess(address)
    ? privateNetworks.some((network) => IpNetwork.contains(network, address.success))
    : !host.includes(".") || privateSuffix.test(host)
}
