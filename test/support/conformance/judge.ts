import { isUtf8 } from "node:buffer"
import type { Answer } from "../service/client.ts"
import { type Call, REQUEST_ID } from "./calls.ts"
import type { ResponseDescription } from "./description.ts"
import { contentPointer, type schemasOf } from "./schemas.ts"

/** Headers that any answer may have and no operation describes: transport, negotiation, CORS, the edge's own. */
const UNDESCRIBED =
  /^(?:connection|keep-alive|date|transfer-encoding|content-(?:length|type|encoding)|vary|cache-control|access-control-.*|x-(?:content-type-options|request-id)|(?:x-)?ratelimit.*|x-accel-buffering|allow)$/

/** What no answer may show of how the service is made. */
const INTERNALS =
  /node_modules|\bat [\w.<>]+ \(|\.[jt]s:\d+:\d+|SqlError|PgError|SQLSTATE|syntax error at or near|violates [\w-]+ constraint/

/** What no refusal may show: refusals repeat nothing that was sent, so words of SQL are the service's. */
const SQL = /\b(?:select .+ from|insert into|update \w+ set|relation "|column "|postgres)/i

/** Codes of 503 that a healthy service answers. */
const EXPECTED_503 = new Set(["JWKS_NOT_CACHED", "SSE_CAPACITY"])

const MAX_ERROR = 200

const isJson = (mediaType: string): boolean => /[/+]json\b/.test(mediaType)

const hasLoneSurrogate = (text: string): boolean => {
  let found = false
  JSON.parse(text, (name, value: unknown) => {
    found ||= !name.isWellFormed() || (typeof value === "string" && !value.isWellFormed())
    return value
  })
  return found
}

/** Faults of a refusal beside those that its schema tells. */
const refusalFaults = (status: number, code: unknown, error: unknown): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (typeof error !== "string" || error === "" || error.length >= MAX_ERROR)
    faults.push("no short error text")
  if (SQL.test(String(error))) faults.push("the error text shows SQL")
  if (status === 503 && !EXPECTED_503.has(String(code))) faults.push(`${String(code)} of a healthy service`)
  return faults
}

const parsed = (text: string): { readonly value: unknown } | undefined => {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** Tells what is wrong with answers, by the document of the service and by what holds for all of them. */
export const judgeBy = (schemaAt: ReturnType<typeof schemasOf>) => {
  const bodyFaults = (
    answer: Answer,
    described: ResponseDescription,
    pointer: string
  ): ReadonlyArray<string> => {
    const { bytes, headers, status, text } = answer
    const mediaType = headers["content-type"]
    if (described.content === undefined)
      return mediaType === undefined && text === "" ? [] : ["a body where none is documented"]
    if (mediaType === undefined || described.content[mediaType] === undefined)
      return [`content-type ${mediaType} is not documented for ${status}`]
    if (mediaType === "application/octet-stream") return []
    if (!isUtf8(bytes)) return ["the body is not UTF-8"]
    if (INTERNALS.test(text)) return ["the body shows internals"]
    if (!isJson(mediaType)) return []
    const json = parsed(text)
    if (json === undefined) return ["the body is not JSON"]
    const faults: Array<string> = []
    const fault = schemaAt(contentPointer(pointer, mediaType))(json.value)
    if (fault !== undefined) faults.push(`body: ${fault}`)
    if (hasLoneSurrogate(text)) faults.push("a lone surrogate in the body")
    const { code, error } = json.value as { readonly code?: unknown; readonly error?: unknown }
    return status >= 400 && code !== undefined ? [...faults, ...refusalFaults(status, code, error)] : faults
  }

  const headerFaults = (
    call: Call,
    { headers }: Answer,
    described: ResponseDescription
  ): ReadonlyArray<string> => {
    const faults: Array<string> = []
    const documented = new Set<string>()
    for (const [name, { required }] of Object.entries(described.headers ?? {})) {
      documented.add(name.toLowerCase())
      if (required === true && headers[name.toLowerCase()] === undefined) faults.push(`no header ${name}`)
    }
    for (const name of Object.keys(headers)) {
      if (!documented.has(name) && !UNDESCRIBED.test(name)) faults.push(`header ${name} is not documented`)
    }
    if (headers[REQUEST_ID] !== call.options.headers?.[REQUEST_ID]) faults.push("x-request-id is not echoed")
    if (headers["x-content-type-options"] !== "nosniff") faults.push("no x-content-type-options")
    if (headers["cache-control"] === undefined) faults.push("no cache-control")
    if (headers["access-control-allow-origin"] === undefined) faults.push("no access-control-allow-origin")
    return faults
  }

  /** Everything wrong with an answer to a documented method of a documented path. */
  return (call: Call, answer: Answer): ReadonlyArray<string> => {
    const { operation, options } = call
    const { status } = answer
    const described = operation.described.responses[String(status)]
    if (described === undefined) return [`status ${status} is not documented: ${answer.text.slice(0, 200)}`]
    const faults = status >= 500 && status !== 503 ? [`answers ${status}`] : []
    faults.push(...headerFaults(call, answer, described))
    if (options.method === "HEAD") {
      if (answer.bytes.length > 0) faults.push("a body in the answer to HEAD")
    } else {
      faults.push(...bodyFaults(answer, described, `${operation.pointer}/responses/${status}`))
    }
    return faults
  }
}

/** A judge of one service's answers. */
export type Judge = ReturnType<typeof judgeBy>
