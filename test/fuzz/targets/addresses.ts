import type { IncomingMessage } from "node:http"
import { BlockList, isIP } from "node:net"
import { Result } from "effect"
import { isPrivateHttpUrl } from "../../../src/aitp/private-host.ts"
import { literalOf } from "../../../src/egress/names.ts"
import { addressesRefusal, readTarget } from "../../../src/egress/target.ts"
import * as ClientIp from "../../../src/http/ClientIp.ts"
import { assertThat, type Target } from "../target.ts"

/** What must never be reached, by Node's own matcher of networks (which takes mapped IPv4 for IPv4). */
const forbidden = new BlockList()
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3]
] as const)
  forbidden.addSubnet(network, prefix, "ipv4")
for (const [network, prefix] of [
  ["::", 127],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8]
] as const)
  forbidden.addSubnet(network, prefix, "ipv6")

const isForbidden = (address: string) => forbidden.check(address, isIP(address) === 6 ? "ipv6" : "ipv4")

const policy = { hosts: [], allowCidrs: [], allowHttp: true }

const checkTarget = (text: string): string => {
  const read = readTarget(text, policy)
  if (Result.isFailure(read)) return read.failure.rule
  const { place, url } = read.success
  assertThat(url.username === "" && url.password === "", "no credentials are sent")
  assertThat(place.protocol === "https:" || place.protocol === "http:", "the scheme is HTTP")
  assertThat(/^[a-z0-9._:-]+$/.test(place.hostname), "the host is plain")
  const address = literalOf(place.hostname)
  if (address === undefined) return "name"
  assertThat(isIP(place.hostname) !== 0, "what is taken for an address is one")
  const refusal = addressesRefusal(place, [address], policy)
  assertThat(refusal !== undefined || !isForbidden(place.hostname), "no address of a private network passes")
  assertThat(
    !isPrivateHttpUrl(url.href) || refusal !== undefined,
    "kernel and guard agree on private addresses"
  )
  return refusal?.rule ?? "public"
}

const client = ClientIp.make("cf-connecting-ip", 2)

const checkClient = (text: string): string => {
  const request = (headers: Record<string, string>) =>
    client({ headers, socket: { remoteAddress: "192.0.2.1" } } as unknown as IncomingMessage) // all that is read of it
  const keys = [
    request({ "cf-connecting-ip": text }),
    request({ "x-forwarded-for": `${text}, 198.51.100.7, 198.51.100.8` }),
    request({ "x-forwarded-for": text, "x-real-ip": text })
  ]
  for (const key of keys)
    assertThat(isIP(key.replace(/\/64$/, "")) !== 0, "requests are counted by an address")
  assertThat(keys[1] === "198.51.100.7", "what stands left of the trusted entries decides nothing")
  return keys[0] === "192.0.2.1" ? "peer" : "claimed"
}

/** URLs that requests may go to, and addresses that clients are counted by. */
export const addresses: Target = {
  name: "addresses",
  seeds: [
    "https://example.com:8443/hook?x=1#y",
    "http://127.0.0.1/",
    "https://[::ffff:10.0.0.1]/",
    "http://0x7f.1/",
    "http://2130706433/",
    "https://user:pass@example.com/",
    "http://[fe80::1%25eth0]/",
    "https://[2001:db8::1]:443/",
    "http://localhost./",
    "[2001:db8::1]:443",
    "198.51.100.9:80",
    "203.0.113.5",
    "::ffff:203.0.113.5",
    "2002:7f00:1::",
    "64:ff9b::7f00:1"
  ],
  dictionary: [
    "http://",
    "https://",
    "[",
    "]",
    "@",
    "127.0.0.1",
    "169.254.169.254",
    "::1",
    "::ffff:",
    "0x",
    "%2e",
    "\u3002",
    "\uff11",
    "\u2460",
    "#",
    "?",
    "\\",
    ":80",
    "/64",
    ","
  ],
  run: (input) => `${checkTarget(input)}, ${checkClient(input)}`
}
