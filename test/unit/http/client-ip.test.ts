import { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import * as ClientIp from "../../../src/http/ClientIp.ts"
import { raw } from "../../support/http/request.ts"
import { testApp } from "../../support/http/TestApp.ts"

const PEER = "192.0.2.1"

const requestFrom = (
  peer: string | undefined,
  headers: Readonly<Record<string, string>>
): IncomingMessage => {
  const socket = new Socket()
  Object.defineProperty(socket, "remoteAddress", { value: peer })
  const request = new IncomingMessage(socket)
  Object.assign(request.headers, headers)
  return request
}

const keyOf = (
  headers: Readonly<Record<string, string>>,
  { header, hops = 0, peer = PEER }: { header?: string; hops?: number; peer?: string } = {}
): string => ClientIp.make(header, hops)(requestFrom(peer, headers))

const forwarded = (value: string) => ({ "x-forwarded-for": value })

describe("without trusted headers, the client", () => {
  it("is the peer of the connection, whatever headers claim", () => {
    const claims = {
      ...forwarded("203.0.113.7"),
      "x-real-ip": "203.0.113.7",
      forwarded: "for=203.0.113.7",
      "cf-connecting-ip": "203.0.113.7"
    }
    assert.strictEqual(keyOf(claims), PEER)
  })

  it("is the IPv4 address of a mapped peer", () => {
    assert.strictEqual(keyOf({}, { peer: "::ffff:192.0.2.9" }), "192.0.2.9")
  })

  it("is the /64 of an IPv6 peer, also of one with a zone", () => {
    assert.strictEqual(keyOf({}, { peer: "2001:db8:1:2:3:4:5:6" }), "2001:db8:1:2::/64")
    assert.strictEqual(keyOf({}, { peer: "2001:db8:1:2:ffff::1" }), "2001:db8:1:2::/64")
    assert.strictEqual(keyOf({}, { peer: "2001:db8:1:3::1" }), "2001:db8:1:3::/64")
    assert.strictEqual(keyOf({}, { peer: "fe80::1%eth0" }), "fe80::/64")
    assert.strictEqual(keyOf({}, { peer: "::1" }), "::/64")
  })

  it("has a key also after the connection is gone", () => {
    assert.strictEqual(ClientIp.make(undefined, 0)(requestFrom(undefined, {})), "gone")
  })
})

describe("with CLIENT_IP_HEADER, the client", () => {
  const named = { header: "x-client", hops: 1 }

  it("is the header's first value, before everything else", () => {
    const claims = { ...forwarded("198.51.100.1"), "x-real-ip": "198.51.100.2" }
    assert.strictEqual(keyOf({ "x-client": "203.0.113.7", ...claims }, named), "203.0.113.7")
    assert.strictEqual(keyOf({ "x-client": " 203.0.113.7 , 198.51.100.9", ...claims }, named), "203.0.113.7")
  })

  it("is found by the other rules when the header is missing or empty", () => {
    assert.strictEqual(keyOf(forwarded("198.51.100.1"), named), "198.51.100.1")
    assert.strictEqual(keyOf({ "x-client": " ", ...forwarded("198.51.100.1") }, named), "198.51.100.1")
    assert.strictEqual(keyOf({}, { header: "x-client" }), PEER)
  })

  it("is the peer when the header holds no address", () => {
    for (const value of [
      "unknown",
      ",203.0.113.7",
      "203.0.113.256",
      "0x7f.1",
      "2130706433",
      "localhost",
      "%00"
    ])
      assert.strictEqual(keyOf({ "x-client": value, ...forwarded("198.51.100.1") }, named), PEER, value)
  })
})

describe("with TRUSTED_PROXY_HOPS, the client", () => {
  it("is that many entries from the right; what it sent itself is left of them", () => {
    const list = "10.0.0.1, 203.0.113.7,198.51.100.1 ,\t198.51.100.2"
    assert.strictEqual(keyOf(forwarded(list), { hops: 1 }), "198.51.100.2")
    assert.strictEqual(keyOf(forwarded(list), { hops: 2 }), "198.51.100.1")
    assert.strictEqual(keyOf(forwarded(list), { hops: 3 }), "203.0.113.7")
    assert.strictEqual(keyOf(forwarded(list), { hops: 4 }), "10.0.0.1")
  })

  it("is x-real-ip when there are fewer entries, else the peer", () => {
    const short = forwarded("203.0.113.7, 198.51.100.1")
    assert.strictEqual(keyOf({ ...short, "x-real-ip": "198.51.100.3" }, { hops: 3 }), "198.51.100.3")
    assert.strictEqual(keyOf(short, { hops: 3 }), PEER)
    assert.strictEqual(keyOf({ "x-real-ip": "198.51.100.3" }, { hops: 1 }), "198.51.100.3")
    assert.strictEqual(keyOf({ "x-real-ip": "198.51.100.3" }), PEER)
  })

  it("is the peer when the trusted entry is no address; nothing else is believed in its place", () => {
    const others = { "x-real-ip": "203.0.113.7" }
    for (const list of ["203.0.113.7, unknown", "203.0.113.7,", "203.0.113.7, _hidden", "203.0.113.7, ::g"])
      assert.strictEqual(keyOf({ ...forwarded(list), ...others }, { hops: 1 }), PEER, list)
    assert.strictEqual(keyOf({ "x-real-ip": "203.0.113.7, 198.51.100.1" }, { hops: 1 }), PEER)
  })

  it("is told without its port and brackets", () => {
    for (const [entry, key] of [
      ["203.0.113.7:4711", "203.0.113.7"],
      ["[2001:db8:1:2::9]", "2001:db8:1:2::/64"],
      ["[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"],
      ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
      ["2001:0db8:0001:0002:0:0:0:9", "2001:db8:1:2::/64"],
      ["::ffff:203.0.113.7", "203.0.113.7"],
      ["::ffff:cb00:7107", "203.0.113.7"],
      ["[::ffff:203.0.113.7]:80", "203.0.113.7"],
      ["[203.0.113.7]:80", "203.0.113.7"],
      ["203.0.113.7:", PEER],
      ["203.0.113.7:port", PEER],
      ["203.0.113.7:4711:1", PEER],
      ["[2001:db8::1", PEER],
      ["2001:db8::1]", PEER],
      ["[[2001:db8::1]]", PEER],
      ["203.0.113", PEER],
      ["0203.0.113.7", PEER]
    ] as const)
      assert.strictEqual(keyOf(forwarded(`10.9.9.9, ${entry}`), { hops: 1 }), key, entry)
  })

  it("cannot choose its key, whatever it writes before what the proxy appends", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.constant(""))),
        fc.ipV4(),
        (claims, seen) =>
          assert.strictEqual(keyOf(forwarded([...claims, seen].join(", ")), { hops: 1 }), seen)
      )
    )
  })

  it("has the key of its /64, in every spelling of an IPv6 address", () => {
    const group = fc.integer({ min: 0, max: 0xffff })
    fc.assert(
      fc.property(
        fc.tuple(fc.integer({ min: 1, max: 0xffff }), group, group, group),
        fc.tuple(group, group, group, group),
        (network, host) => {
          const groups = [...network, ...host].map((each) => each.toString(16))
          const long = groups.map((each) => each.padStart(4, "0")).join(":")
          const short = new URL(`http://[${long}]`).hostname.slice(1, -1)
          const prefix = new URL(`http://[${groups.slice(0, 4).join(":")}::]`).hostname.slice(1, -1)
          for (const entry of [long, short, `[${short}]`, `[${long.toUpperCase()}]:65535`])
            assert.strictEqual(keyOf(forwarded(entry), { hops: 1 }), `${prefix}/64`, entry)
        }
      )
    )
  })

  it("keeps nothing of a long header", () => {
    // a part of a text keeps all of it in memory: that of these headers is 32 MB
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    collect()
    const before = process.memoryUsage().heapUsed
    const keys = Array.from({ length: 4000 }, (_, i) =>
      keyOf(forwarded(`${`${i},`.repeat(1600)}203.0.113.${100 + (i % 100)}`), { hops: 1 })
    )
    collect()
    assert.isBelow(process.memoryUsage().heapUsed - before, 4_000_000)
    assert.strictEqual(new Set(keys).size, 100)
  })
})

layer(
  testApp({ RATE_LIMIT_ENABLED: "true", RATE_LIMIT_PUBLIC_PER_IP_MIN: "1000", TRUSTED_PROXY_HOPS: "2" }),
  { excludeTestServices: true }
)("on the wire, X-Forwarded-For", (it) => {
  const leftAfter = (...lines: ReadonlyArray<string>) =>
    Effect.map(
      raw(["GET /api/whoami HTTP/1.1", "host: x", "connection: close", ...lines, "", ""].join("\r\n")),
      (answer) => Number(/^x-ratelimit-remaining: (\d+)$/m.exec(answer)?.[1])
    )

  it.effect("in several lines is one list", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* leftAfter("X-Forwarded-For: 203.0.113.1, 198.51.100.1"), 999)
      assert.strictEqual(
        yield* leftAfter(
          "X-Forwarded-For: 10.0.0.1",
          "x-forwarded-for: 203.0.113.1",
          "X-FORWARDED-FOR: 198.51.100.2"
        ),
        998
      )
      assert.strictEqual(
        yield* leftAfter("X-Forwarded-For: 203.0.113.1, 203.0.113.2", "X-Forwarded-For: 198.51.100.1"),
        999
      )
    })
  )
})
