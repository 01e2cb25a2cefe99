import { assert, describe, it } from "@effect/vitest"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { BlockList } from "node:net"
import { join } from "node:path"
import { specialRange } from "../../../src/egress/special-ranges.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/egress.md"), "utf8")

/** The networks in the first column of the documentation's tables. */
const documented = page
  .split("\n")
  .flatMap((line) => /^\| ([^|]*) \|/.exec(line)?.[1] ?? [])
  .filter((cell) => !cell.includes("without") && !/IPv4-|NAT64|6to4|Teredo|all else/.test(cell))
  .flatMap((cell) => cell.match(/[\da-f.:]+\/\d+/g) ?? [])
  .map(IpNetwork.fromStringUnsafe)

const blocked = new BlockList()
for (const network of documented)
  if (IpNetwork.isIpv4Network(network))
    blocked.addSubnet(NetAddress.formatIp(network.address), network.prefixLength, "ipv4")

const special = (text: string) => specialRange(NetAddress.ipFromStringUnsafe(text)) !== undefined

const dotted = (value: number) =>
  [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".")

const hextets = (value: number) => `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`

/** Any address, and often one at the edge of a documented range. */
const ipv4 = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc
    .tuple(
      fc.constantFrom(...documented.filter(IpNetwork.isIpv4Network)),
      fc.constantFrom(IpNetwork.firstAddress, IpNetwork.lastAddress),
      fc.constantFrom(-1, 0, 1)
    )
    .map(([network, edge, step]) => {
      const [a, b, c, d] = NetAddress.ipv4ToOctets(edge(network) as NetAddress.Ipv4Address)
      return (((a << 24) | (b << 16) | (c << 8) | d) + step) >>> 0
    })
)

describe("special-purpose ranges", () => {
  it("are the documented ones, for IPv4 exactly", () => {
    assert.isAtLeast(documented.length, 25)
    fc.assert(
      fc.property(ipv4, (value) => {
        assert.strictEqual(special(dotted(value)), blocked.check(dotted(value), "ipv4"), dotted(value))
      }),
      { numRuns: 2000 }
    )
  })

  it("hold the first and the last address of every documented range", () => {
    for (const network of documented)
      for (const address of [IpNetwork.firstAddress(network), IpNetwork.lastAddress(network)])
        assert.isDefined(specialRange(address), NetAddress.formatIp(address))
  })

  it("judge an IPv4 address alike in every form that carries it", () => {
    fc.assert(
      fc.property(ipv4, (value) => {
        const expected = special(dotted(value))
        const inner = hextets(value)
        for (const form of [
          `::ffff:${inner}`,
          `::${inner}`,
          `64:ff9b::${inner}`,
          `2002:${inner}::1`,
          `2001:0:${inner}::f7f7:f7f7`,
          `2001:0:808:808::${hextets(~value >>> 0)}`,
          `2606:4700::5efe:${inner}`
        ])
          assert.strictEqual(special(form), expected, form)
      })
    )
  })

  it("are the same in every notation of a URL", () => {
    fc.assert(
      fc.property(ipv4, (value) => {
        const octets = dotted(value).split(".").map(Number)
        for (const host of [
          String(value),
          `0x${value.toString(16)}`,
          `0${value.toString(8)}`,
          octets.map((octet) => `0x${octet.toString(16)}`).join("."),
          octets.map((octet) => `0${octet.toString(8)}`).join("."),
          `${octets[0]}.${value & 0xff_ffff}`,
          `${octets[0]}.${octets[1]}.${value & 0xffff}`,
          `${dotted(value)}.`
        ])
          assert.strictEqual(new URL(`https://${host}/`).hostname, dotted(value))
      })
    )
  })
})
