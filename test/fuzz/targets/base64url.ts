import * as kernel from "../../../src/aitp/base64url.ts"
import * as client from "../../../src/client/base64url.ts"
import { decodeBase64, encodeBase64 } from "../../../src/client/log-base64.ts"
import { assertThat, type Target } from "../target.ts"

const standard = (input: string): void => {
  const bytes = decodeBase64(input)
  const lenient = Buffer.from(input, "base64")
  // Node's decoder takes every spelling; only the one that it writes itself is canonical.
  assertThat(
    (bytes !== undefined) === (lenient.toString("base64") === input),
    "canonical base64 and nothing else is read"
  )
  assertThat(bytes === undefined || encodeBase64(bytes) === input, "base64 has one spelling")
}

/** The kernel's decoder, the client's and Node's agree, and each value has one spelling. */
export const base64url: Target = {
  name: "base64url",
  seeds: [
    "",
    "AA",
    "AAA",
    "AAAA",
    "_-8",
    "AB",
    "Zm9vYmFy",
    "Zm9vYg==",
    "+/8=",
    "A".repeat(43),
    "A".repeat(86)
  ],
  dictionary: ["A", "Q", "g", "w", "-", "_", "=", "+", "/", "\n"],
  run: (input) => {
    standard(input)
    const [ours, theirs] = [kernel.decodeBase64url(input), client.decodeBase64url(input)]
    assertThat((ours === undefined) === (theirs === undefined), "kernel and client read the same texts")
    if (ours === undefined || theirs === undefined) return "refused"
    assertThat(Buffer.compare(ours, theirs) === 0, "kernel and client read the same bytes")
    assertThat(kernel.encodeBase64url(ours) === input, "base64url has one spelling")
    assertThat(client.encodeBase64url(theirs) === input, "the client writes what it read")
    return `${ours.length % 3}`
  }
}
