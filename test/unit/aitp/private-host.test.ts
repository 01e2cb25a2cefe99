import { assert, describe, it } from "@effect/vitest"
import { isPrivateHttpUrl } from "../../../src/aitp/private-host.ts"

describe("isPrivateHttpUrl", () => {
  it("accepts hosts that cannot be on the public internet", () => {
    for (const host of [
      "localhost",
      "localhost:8101",
      "LOCALHOST",
      "agent-host:8101",
      "127.0.0.1",
      "127.255.255.254",
      "10.0.0.1",
      "172.16.0.1",
      "172.31.255.255",
      "192.168.1.1",
      "169.254.169.254",
      "2130706433", // 127.0.0.1
      "0x7f.1",
      "[::1]",
      "[fe80::1]",
      "[fd00::1]",
      "printer.local",
      "db.internal",
      "db.internal.",
      "x.localhost",
      "x.test"
    ]) {
      assert.isTrue(isPrivateHttpUrl(`http://${host}/path`), host)
    }
  })

  it("refuses public hosts and names that only look private", () => {
    for (const host of [
      "example.com",
      "8.8.8.8",
      "172.15.0.1",
      "172.32.0.1",
      "192.169.0.1",
      "11.0.0.1",
      "134744072", // 8.8.8.8
      "[2001:4860:4860::8888]",
      "[::ffff:8.8.8.8]",
      "localhost.example.com",
      "10.0.0.1.example.com",
      "user@example.com",
      "localhost@example.com",
      "127.0.0.1.nip.io",
      "internal.example",
      "xlocal.com"
    ]) {
      assert.isFalse(isPrivateHttpUrl(`http://${host}/path`), host)
    }
  })

  it("is only about http URLs", () => {
    for (const url of [
      "https://localhost/",
      "ftp://localhost/",
      "//localhost/",
      "localhost",
      "http://",
      "HTTP://localhost/"
    ]) {
      assert.isFalse(isPrivateHttpUrl(url), url)
    }
  })
})
