import type { Options } from "../service/client.ts"
import type { Operation } from "./description.ts"

/** One request to an operation, ready to be sent, with a name for the messages of failed tests. */
export interface Call {
  readonly operation: Operation
  /** What is special about it. */
  readonly name: string
  /** Path and query, as they go out. */
  readonly target: string
  readonly options: Options
}

/** A header that every request carries, so that its echo can be checked. */
export const REQUEST_ID = "x-request-id"

let made = 0

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

const escaped = (byte: number): string =>
  byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c
    ? String.fromCharCode(byte)
    : String.raw`\x${byte.toString(16).padStart(2, "0")}`

/** Bytes of a body that are shown. */
const SHOWN = 4096

const printable = (body: unknown): string => {
  if (Buffer.isBuffer(body)) return `$'${[...body.subarray(0, SHOWN)].map(escaped).join("")}'`
  return quoted((typeof body === "string" ? body : JSON.stringify(body)).slice(0, SHOWN))
}

/** The call as a line for a shell; of a large body the beginning. */
export const curlOf = ({ options, target }: Call): string => {
  const { body, headers = {}, key, method = body === undefined ? "GET" : "POST" } = options
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => `-H ${quoted(`${name}: ${value}`)}`)
  )
  if (key === true) lines.push('-H "authorization: Bearer $KEY"')
  if (body !== undefined) lines.push(`--data-binary ${printable(body)}`)
  return ["curl -si -X", method, ...lines, `"$URL"${quoted(target)}`].join(" ")
}

/** The call with a request id of its own, unless it has one. */
export const identified = (call: Call): Call => ({
  ...call,
  options: { ...call.options, headers: { [REQUEST_ID]: `conformance-${made++}`, ...call.options.headers } }
})
