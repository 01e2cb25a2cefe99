import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { fingerprint } from "../../../src/idempotency/fingerprint.ts"
import { readKey } from "../../../src/idempotency/key.ts"

const keyOf = (header: string) => Result.getOrElse(readKey(header), ({ code }) => `refused: ${code}`)
const refused = "refused: IDEMPOTENCY_KEY_INVALID"

describe("Idempotency-Key", () => {
  it("is trimmed, and a structured string is the text it stands for", () => {
    assert.strictEqual(keyOf("abc"), "abc")
    assert.strictEqual(keyOf("  abc "), "abc")
    assert.strictEqual(keyOf('"abc"'), "abc")
    assert.strictEqual(keyOf('"a \\"b\\" \\\\c"'), 'a "b" \\c')
  })

  it("keeps what only looks like a structured string", () => {
    for (const text of ['"abc', 'abc"', '"', '"a"b"', '"a\\n"', '"é"', "'abc'"]) {
      assert.strictEqual(keyOf(text), text)
    }
  })

  it("has 1 to 255 characters, quotes not counted", () => {
    assert.strictEqual(keyOf("k".repeat(255)), "k".repeat(255))
    assert.strictEqual(keyOf(`"${"k".repeat(255)}"`), "k".repeat(255))
    for (const text of ["", "   ", '""', "k".repeat(256), `"${"k".repeat(256)}"`]) {
      assert.strictEqual(keyOf(text), refused, text)
    }
  })

  it("has no control character anywhere", () => {
    for (let code = 0; code < 0x20; code += 1) {
      const control = String.fromCharCode(code)
      for (const text of [`a${control}b`, `${control}ab`, `ab${control}`])
        assert.strictEqual(keyOf(text), refused)
    }
    assert.strictEqual(keyOf("a b"), "a b")
  })
})

describe("fingerprint", () => {
  const request = { method: "POST", path: "/api/x", namespace: undefined, body: Buffer.from("{}") }
  const hex = (over: Partial<Parameters<typeof fingerprint>[0]>) =>
    Buffer.from(fingerprint({ ...request, ...over })).toString("hex")

  it("differs in method, path, namespace and every byte of the body", () => {
    const prints = [
      hex({}),
      hex({ method: "PUT" }),
      hex({ path: "/api/y" }),
      hex({ namespace: "n" }),
      hex({ body: Buffer.from("{ }") }),
      hex({ body: Buffer.alloc(0) }),
      hex({ path: '/api/x","', namespace: "" }),
      hex({ namespace: "n", body: Buffer.from("\n{}") })
    ]
    assert.strictEqual(new Set(prints).size, prints.length)
  })

  it("does not tell an empty namespace from none", () => {
    assert.strictEqual(hex({ namespace: "" }), hex({}))
    assert.strictEqual(hex({ namespace: " n " }), hex({ namespace: "n" }))
  })
})
