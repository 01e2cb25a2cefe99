import { Result } from "effect"
import { canonicalJson } from "../../../src/aitp/jcs.ts"
import { isJsonObject, type Json, type JsonOffence, readJson } from "../../../src/aitp/json.ts"
import { canonicalJson as clientCanonicalJson } from "../../../src/client/canonical-json.ts"
import * as JsonText from "../../../src/http/JsonText.ts"
import { readVector } from "../../support/aitp/vectors.ts"
import { assertThat, bytesOf, inputOf, type Target } from "../target.ts"

const parsed = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** Canonical text by the client's writer, which knows fewer values. */
const byClient = (value: Json): string | undefined => {
  try {
    return clientCanonicalJson(value)
  } catch {
    return undefined
  }
}

const offenceOf = (text: string): JsonOffence | undefined =>
  Result.match(readJson(text), { onFailure: ({ offence }) => offence, onSuccess: () => undefined })

const checkAccepted = (value: Json, text: string): void => {
  assertThat(
    JSON.stringify(value) === JSON.stringify(parsed(text)?.value),
    "what is accepted is what JSON.parse reads"
  )
  const canonical = canonicalJson(value)
  assertThat(canonicalJson(JSON.parse(canonical)) === canonical, "canonical text is its own canonical form")
  const theirs = byClient(value)
  assertThat(theirs === undefined || theirs === canonical, "kernel and client write the same canonical text")
  const [name] = isJsonObject(value) ? Object.keys(value) : []
  if (name === undefined) return
  const repeated = text.replace("{", () => `{${JSON.stringify(name)}:0,`)
  assertThat(offenceOf(repeated) === "duplicate_name", "a repeated name is refused")
}

const checkBody = (bytes: Buffer): string => {
  const read = JsonText.parse(bytes, 64)
  if ("refusal" in read) return read.refusal
  // JSON.stringify escapes lone surrogates and NUL; an escaped backslash may stand before the same letters.
  const escapesOf = (value: unknown) => JSON.stringify(value).replaceAll("\\\\", "")
  const clean = JsonText.wellFormed(read.text, read.value)
  assertThat(!/\\ud[89a-f]/.test(escapesOf(clean)), "no lone surrogate is left")
  assertThat(
    JsonText.hasNul(read.text, read.value) === escapesOf(read.value).includes("\\u0000"),
    "NUL is found where there is one"
  )
  return "read"
}

const { vectors } = readVector<{ vectors: ReadonlyArray<{ input: string }> }>("edge/jcs-edge.json")

/** The kernel's JSON reader, the reader of bodies and both writers of canonical JSON. */
export const json: Target = {
  name: "json",
  seeds: [
    '{"a":1,"b":[true,null,"x"],"c":{"d":-0.5e-7}}',
    '{"\\u0061":"\\ud83d\\ude00","é":"\\u0000"}',
    "[[[[1e21,1e-7,0.1,9007199254740993]]]]",
    '{"__proto__":{"a":1},"constructor":[]}',
    "[".repeat(40) + "]".repeat(40),
    ...vectors.map(({ input }) => input)
  ].map(inputOf),
  dictionary: [
    '"a":',
    ',"a":1',
    '\\"',
    "\\\\",
    "\\u00e9",
    "\\ud83d\\ude00",
    "1e309",
    "[]",
    "{}",
    "\xc3\xa9",
    "\xed\xa0\x80"
  ],
  run: (input) => {
    const bytes = bytesOf(input)
    const body = checkBody(bytes)
    const read = readJson(bytes)
    if (Result.isFailure(read)) {
      const { message, offence } = read.failure
      assertThat(message.isWellFormed() && message.length < 200, "messages are short")
      return `${body}, ${offence}`
    }
    checkAccepted(read.success, bytes.toString("utf8"))
    return `${body}, ${Array.isArray(read.success) ? "array" : typeof read.success}`
  }
}
