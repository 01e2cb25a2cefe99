import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import * as Dns from "effect/net/Dns"
import { Egress } from "../../../src/egress/Egress.ts"
import type { TargetRefused } from "../../../src/egress/model.ts"
import type { TargetPolicy } from "../../../src/egress/policy.ts"
import { development, inside, listed, production } from "../../support/egress/policies.ts"

const hosts = {
  "hooks.example.com": ["93.184.216.34"],
  "example.com": ["93.184.216.34"],
  "badexample.com": ["93.184.216.34"],
  "dual.example": ["93.184.216.34", "2606:2800:220:1::1"],
  "xn--bcher-kva.example": ["93.184.216.34"],
  "under_score.example": ["93.184.216.34"],
  "documentation.example": ["203.0.113.7"],
  "private.example": ["10.0.0.5"],
  "half-private.example": ["93.184.216.34", "10.0.0.5"],
  "half-loopback.example": ["93.184.216.34", "::1"],
  "mapped.example": ["::ffff:10.0.0.5"],
  "metadata.example": ["169.254.169.254"],
  "link-local.example": ["fe80::1"],
  "two-private.example": ["10.0.0.5", "10.0.0.6"],
  "two-networks.example": ["10.0.0.5", "192.168.1.5"],
  localhost: ["127.0.0.1", "::1"]
}

const egress = Egress.layerNoDeps.pipe(Layer.provide(Dns.layerStatic({ hosts })))

type Verdict = "allowed" | TargetRefused["rule"]
/** URL, verdict, and for refusals a part of the reason. */
type Row = readonly [url: string, verdict: Verdict, reason?: string]

const groups: ReadonlyArray<readonly [title: string, policy: TargetPolicy, rows: ReadonlyArray<Row>]> = [
  [
    "judges public targets",
    production,
    [
      ["https://hooks.example.com/aitp?x=1#part", "allowed"],
      ["https://HOOKS.Example.COM/", "allowed"],
      ["https://hooks.example.com./", "allowed"],
      ["https://bücher.example/", "allowed"],
      ["https://under_score.example/", "allowed"],
      ["https://dual.example/", "allowed"],
      ["https://8.8.8.8/", "allowed"],
      ["https://[2606:4700::1111]/", "allowed"],
      ["https://172.15.255.255/", "allowed"],
      ["https://172.32.0.0/", "allowed"],
      ["https://100.63.255.255/", "allowed"],
      ["https://100.128.0.0/", "allowed"],
      ["https://223.255.255.255/", "allowed"],
      ["https://192.0.1.0/", "allowed"],
      ["https://198.20.0.0/", "allowed"],
      // documentation ranges
      ["https://192.0.2.1/", "allowed"],
      ["https://198.51.100.1/", "allowed"],
      ["https://203.0.113.1/", "allowed"],
      ["https://documentation.example/", "allowed"],
      ["https://[2001:db8::1]/", "allowed"],
      ["https://[3fff::1]/", "allowed"]
    ]
  ],
  [
    "judges the form of the URL",
    production,
    [
      ["", "url", "not a URL"],
      ["hooks.example.com", "url"],
      ["//hooks.example.com/", "url"],
      ["https://", "url"],
      ["https://exa mple.com/", "url"],
      ["https://1.2.3.4.5/", "url"],
      ["https://256.256.256.256/", "url"],
      ["https://[::1%25lo]/", "url"],
      ["https://[fe80::1%25eth0]/", "url"],
      ["https://[::g]/", "url"],
      ["https://hooks..example.com/", "url", "host is malformed"],
      ["https://-a.example/", "url"],
      [`https://${"a".repeat(64)}.example/`, "url"],
      ["https://hooks.example.com:99999/", "url"],
      ["http://hooks.example.com/", "scheme", "must be https"],
      ["http://10.0.0.5/", "scheme"],
      ["ftp://hooks.example.com/", "scheme"],
      ["file:///etc/passwd", "scheme"],
      ["gopher://hooks.example.com/", "scheme"],
      ["javascript:alert(1)", "scheme"],
      ["data:text/plain,x", "scheme"],
      ["ws://hooks.example.com/", "scheme"],
      ["unix:///var/run/docker.sock", "scheme"],
      ["https://user@hooks.example.com/", "credentials"],
      ["https://user:secret@hooks.example.com/", "credentials"],
      ["https://:secret@hooks.example.com/", "credentials"],
      ["https://hooks.example.com@10.0.0.5/", "credentials"],
      ["https://unknown.example/", "resolve", "does not resolve"]
    ]
  ],
  [
    "judges ports",
    production,
    [
      ["https://hooks.example.com:443/", "allowed"],
      ["https://hooks.example.com:80/", "allowed"],
      ["https://hooks.example.com:1024/", "allowed"],
      ["https://hooks.example.com:8443/", "allowed"],
      ["https://hooks.example.com:65535/", "allowed"],
      ["https://hooks.example.com:0/", "port", "port 0 is not allowed"],
      ["https://hooks.example.com:22/", "port"],
      ["https://hooks.example.com:25/", "port"],
      ["https://hooks.example.com:444/", "port"],
      ["https://hooks.example.com:1023/", "port"],
      ["https://hooks.example.com:6667/", "port"],
      ["https://hooks.example.com:10080/", "port"]
    ]
  ],
  [
    "refuses every notation of an address that is not public",
    production,
    [
      ["https://127.0.0.1/", "address", "loopback"],
      ["https://127.255.255.254/", "address"],
      ["https://127.1/", "address"],
      ["https://127.0.1/", "address"],
      ["https://127.0.0.1./", "address"],
      ["https://2130706433/", "address"],
      ["https://017700000001/", "address"],
      ["https://0177.0.0.1/", "address"],
      ["https://0x7f000001/", "address"],
      ["https://0x7f.0x0.0x0.0x1/", "address"],
      ["https://0x7F.1/", "address"],
      ["https://１２７.０.０.１/", "address"],
      ["https://①②⑦.0.0.1/", "address"],
      ["https://127。0。0。1/", "address"],
      ["https://%31%32%37.0.0.1/", "address"],
      ["https:\\\\127.0.0.1\\", "address"],
      [" https://127.0.0.1/", "address"],
      ["https://127.0.\n0.1/", "address"],
      ["https://0/", "address", "this network"],
      ["https://0.0.0.0/", "address"],
      ["https://[::1]/", "address"],
      ["https://[0:0:0:0:0:0:0:1]/", "address"],
      ["https://[0000:0000:0000:0000:0000:0000:0000:0001]/", "address"]
    ]
  ],
  [
    "refuses the special-purpose ranges of IPv4",
    production,
    [
      ["https://0.255.255.255/", "address", "this network"],
      ["https://10.0.0.0/", "address", "private"],
      ["https://10.255.255.255/", "address"],
      ["https://100.64.0.0/", "address", "shared"],
      ["https://100.127.255.255/", "address"],
      ["https://169.254.169.254/", "address", "link-local"],
      ["https://172.16.0.0/", "address"],
      ["https://172.31.255.255/", "address"],
      ["https://192.0.0.1/", "address", "IETF"],
      ["https://192.0.0.9/", "address"],
      ["https://192.31.196.1/", "address", "AS112"],
      ["https://192.52.193.1/", "address", "AMT"],
      ["https://192.88.99.1/", "address", "6to4 relay"],
      ["https://192.168.0.0/", "address"],
      ["https://192.168.255.255/", "address"],
      ["https://192.175.48.1/", "address", "AS112"],
      ["https://198.18.0.0/", "address", "benchmarking"],
      ["https://198.19.255.255/", "address"],
      ["https://224.0.0.1/", "address", "multicast"],
      ["https://239.255.255.255/", "address"],
      ["https://240.0.0.0/", "address", "reserved"],
      ["https://255.255.255.255/", "address", "broadcast"]
    ]
  ],
  [
    "refuses the special-purpose ranges of IPv6",
    production,
    [
      ["https://[::]/", "address", "unspecified"],
      ["https://[100::1]/", "address", "discard"],
      ["https://[100:0:0:1::1]/", "address", "dummy"],
      ["https://[64:ff9b:1::808:808]/", "address", "local NAT64"],
      ["https://[2001:1::1]/", "address", "IETF"],
      ["https://[2001:2::1]/", "address"],
      ["https://[2001:10::1]/", "address"],
      ["https://[2001:20::1]/", "address"],
      ["https://[2001:1ff:ffff::1]/", "address"],
      ["https://[2001:200::1]/", "allowed"],
      ["https://[2620:4f:8000::1]/", "address", "AS112"],
      ["https://[4000::1]/", "address", "reserved"],
      ["https://[5f00::1]/", "address", "segment routing"],
      ["https://[fc00::1]/", "address", "private"],
      ["https://[fdff:ffff::1]/", "address"],
      ["https://[fe80::1]/", "address"],
      ["https://[febf:ffff::1]/", "address"],
      ["https://[fec0::1]/", "address", "site-local"],
      ["https://[feff::1]/", "address"],
      ["https://[ff02::1]/", "address", "multicast"],
      ["https://[ffff::1]/", "address"]
    ]
  ],
  [
    "judges an IPv6 address that holds an IPv4 address by that one",
    production,
    [
      ["https://[::ffff:127.0.0.1]/", "address", "loopback"],
      ["https://[::ffff:7f00:1]/", "address"],
      ["https://[::ffff:0a00:0005]/", "address"],
      ["https://[::ffff:8.8.8.8]/", "allowed"],
      ["https://[::ffff:0:7f00:1]/", "address", "reserved"],
      ["https://[::10.0.0.5]/", "address", "IPv4-compatible of"],
      ["https://[::8.8.8.8]/", "allowed"],
      ["https://[64:ff9b::a9fe:a9fe]/", "address", "NAT64 of"],
      ["https://[64:ff9b::192.168.1.1]/", "address"],
      ["https://[64:ff9b::808:808]/", "allowed"],
      ["https://[2002:7f00:1::1]/", "address", "6to4 of"],
      ["https://[2002:a9fe:a9fe::]/", "address"],
      ["https://[2002:808:808::1]/", "allowed"],
      // server 8.8.8.8, client 10.0.0.5
      ["https://[2001:0:808:808::f5ff:fffa]/", "address", "Teredo of"],
      // server 10.0.0.5, client 8.8.8.8
      ["https://[2001:0:a00:5::f7f7:f7f7]/", "address", "Teredo of"],
      ["https://[2001:0:808:808::f7f7:f7f7]/", "allowed"],
      ["https://[2606:4700::5efe:10.0.0.5]/", "address", "ISATAP of"],
      ["https://[2606:4700::200:5efe:10.0.0.5]/", "address", "ISATAP of"],
      ["https://[2606:4700::5efe:8.8.8.8]/", "allowed"]
    ]
  ],
  [
    "judges names by all their addresses",
    production,
    [
      ["https://private.example/", "address", "the host has an address that is not public"],
      ["https://half-private.example/", "address"],
      ["https://half-loopback.example/", "address"],
      ["https://mapped.example/", "address"],
      ["https://metadata.example/", "address"],
      ["https://link-local.example/", "address"],
      ["https://localhost/", "address"],
      ["https://LOCALHOST./", "address"]
    ]
  ],
  [
    "allows http to public addresses outside production",
    development,
    [
      ["http://hooks.example.com/", "allowed"],
      ["http://8.8.8.8:8080/", "allowed"],
      ["http://127.0.0.1:8080/", "address"],
      ["http://private.example/", "address"],
      ["http://hooks.example.com:22/", "port"],
      ["ftp://hooks.example.com/", "scheme"]
    ]
  ],
  [
    "allows what lies inside the allowed networks, over either scheme and at any port but the blocked ones",
    inside("10.0.0.0/24", "fd00::/8"),
    [
      ["http://10.0.0.5/", "allowed"],
      ["https://10.0.0.5:444/", "allowed"],
      ["http://167772165/", "allowed"],
      ["http://[::ffff:10.0.0.5]/", "allowed"],
      ["http://[fd00::1]:8080/", "allowed"],
      ["http://private.example/", "allowed"],
      ["http://two-private.example/", "allowed"],
      ["http://10.0.0.5:22/", "port"],
      ["http://10.0.1.5/", "scheme"],
      ["https://10.0.1.5/", "address"],
      ["https://two-networks.example/", "address"],
      ["https://half-private.example/", "address"],
      ["http://half-private.example/", "scheme"],
      ["https://[64:ff9b::a00:5]/", "address"],
      ["https://hooks.example.com/", "allowed"],
      ["http://hooks.example.com/", "scheme"],
      ["https://hooks.example.com:444/", "port"],
      ["https://127.0.0.1/", "address"]
    ]
  ],
  [
    "allows only the listed hosts, and these only at allowed addresses",
    listed(
      "hooks.example.com",
      ".badexample.com",
      "private.example",
      "8.8.8.8",
      "[2606:4700::1111]",
      "127.0.0.1"
    ),
    [
      ["https://hooks.example.com/", "allowed"],
      ["https://HOOKS.example.com./", "allowed"],
      ["https://badexample.com/", "allowed"],
      ["https://8.8.8.8/", "allowed"],
      ["https://0x08080808/", "allowed"],
      ["https://[2606:4700:0::1111]/", "allowed"],
      ["https://example.com/", "host", "not on the allow list"],
      ["https://a.hooks.example.com/", "host"],
      ["https://hooks.example.com.evil.example/", "host"],
      ["https://sub.badexample.com/", "resolve"],
      ["https://notbadexample.com/", "host"],
      ["https://8.8.4.4/", "host"],
      ["https://private.example/", "address"],
      ["https://127.0.0.1/", "address"]
    ]
  ]
]

const rows = groups.flatMap(([, , each]) => each)

describe("the target guard", () => {
  it("is held to at least 80 rows", () => {
    assert.isAtLeast(new Set(rows.map(([url]) => url)).size, 80)
  })

  for (const [title, policy, table] of groups) {
    describe(title, () => {
      for (const [url, verdict, reason = ""] of table) {
        it.effect(`${JSON.stringify(url)}: ${verdict}`, () =>
          Effect.gen(function* () {
            const judged = yield* Effect.result((yield* Egress).judge(url, policy))
            assert.strictEqual(Result.isSuccess(judged) ? "allowed" : judged.failure.rule, verdict)
            if (Result.isFailure(judged)) {
              assert.include(judged.failure.reason, reason)
              assert.notMatch(judged.failure.reason, /\n|10\.0\.0|secret/)
            }
          }).pipe(Effect.provide(egress))
        )
      }
    })
  }
})
