import { randomUUID } from "node:crypto"
import { hostileIds } from "../service/attacks.ts"
import { API_KEY } from "../service/Service.ts"
import type { Call } from "./calls.ts"
import { credentialOf, type Operation, type Parameter, parametersIn } from "./description.ts"
import { callOf, type Example, pathOf } from "./example.ts"

/** A call with something wrong about it. */
export interface Mistake {
  readonly call: Call
  /** Status and code that it may be answered with; any documented ones unless given. */
  readonly wanted?: RegExp
}

const REFUSED_KEY = /^401 INVALID_API_KEY$/

/** Wrong credentials: refused where one is asked for, ignored where none is. */
const credentials = (operation: Operation, base: Call): ReadonlyArray<Mistake> => {
  const asked = credentialOf(operation)
  if (asked === "enrollmentToken") {
    const { authorization: _, ...headers } = base.options.headers ?? {}
    return ["", "Bearer", "Bearer x", `Bearer ${API_KEY}`].map((authorization) => ({
      call: {
        ...base,
        name: `token ${authorization}`,
        options: { ...base.options, headers: { ...headers, authorization } }
      },
      wanted: /^401 TOKEN_INVALID$/
    }))
  }
  if (asked === undefined) return []
  const { key: _, ...options } = base.options
  const sent = [
    undefined,
    "",
    "Bearer",
    "Bearer unknown",
    "unknown",
    "Basic dXNlcjpwYXNz",
    `Bearer ${"x".repeat(5000)}`
  ]
  return [
    ...sent.map((authorization) => ({
      call: {
        ...base,
        name: `key ${authorization?.slice(0, 40)}`,
        options: {
          ...options,
          headers: { ...options.headers, ...(authorization === undefined ? {} : { authorization }) }
        }
      },
      wanted: REFUSED_KEY
    })),
    {
      call: {
        ...base,
        name: "key in the query",
        target: withQuery(base.target, `api_key=${API_KEY}`),
        options
      },
      wanted: REFUSED_KEY
    }
  ]
}

/** Operations that answer about any id, known or not. */
const OF_ANY_ID = new Set(["GET /api/revocation/impact/{jti}"])

const withQuery = (target: string, query: string): string =>
  `${target}${target.includes("?") ? "&" : "?"}${query}`

const withHeaders = (base: Call, name: string, headers: Readonly<Record<string, string>>): Call => ({
  ...base,
  name,
  options: { ...base.options, headers: { ...base.options.headers, ...headers } }
})

/** Bytes, more than any operation takes; they are refused unread. */
const OVERSIZE = "17000000"

const heads = (operation: Operation, base: Call): ReadonlyArray<Mistake> => {
  const takesKey = parametersIn(operation, "header").some(({ name }) => name === "Idempotency-Key")
  const keys = takesKey ? ["", " ", "x".repeat(256), '""'] : []
  return [
    {
      call: withHeaders(base, "oversize", { "content-length": OVERSIZE, connection: "close" }),
      wanted: /^413 PAYLOAD_TOO_LARGE$/
    },
    {
      call: withHeaders(base, "compressed", { "content-encoding": "gzip" }),
      wanted: /^415 UNSUPPORTED_ENCODING$/
    },
    {
      call: withHeaders(base, "compressed, problem", {
        "content-encoding": "br",
        accept: "application/problem+json"
      }),
      wanted: /^415 UNSUPPORTED_ENCODING$/
    },
    ...keys.map((key) => ({
      call: withHeaders(base, `idempotency key of ${key.length}`, { "idempotency-key": key }),
      wanted: /^400 IDEMPOTENCY_KEY_INVALID$/
    }))
  ]
}

const UNDECODABLE = new Set(["%00", "a%00b", "%", "%zz", "%c0%80", "%ed%a0%80", "%ff"])

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8]/i

/** Names that nobody has, and names that are none. */
const paths = (operation: Operation, example: Example): ReadonlyArray<Mistake> => {
  const { params = {} } = example
  const tells = operation.described.responses["404"] !== undefined
  return parametersIn(operation, "path").flatMap(({ name }) => {
    // put in as it is, past the encoding of the path
    const mark = "-here-"
    const path = pathOf(operation, { ...params, [name]: mark })
    const unknown = [...hostileIds.filter((id) => id !== params[name]), randomUUID()]
    return unknown.map((id): Mistake => {
      const call = callOf(operation, example, `${name} ${id.slice(0, 60)}`)
      const [, query] = call.target.split("?", 2)
      const target = path.replace(mark, id) + (query === undefined ? "" : `?${query}`)
      if (UNDECODABLE.has(id)) {
        // such a path is nobody's: below /api only who has a key is told more than that
        const options = { ...call.options, key: true }
        return { call: { ...call, target, options }, wanted: /^400 BAD_REQUEST$/ }
      }
      const isAnswered = !tells || (OF_ANY_ID.has(operation.key) && UUID.test(id))
      return { call: { ...call, target }, ...(isAnswered ? {} : { wanted: /^404 NOT_FOUND$/ }) }
    })
  })
}

/** Values of query parameters, percent-encoded. */
const VALUES = [
  "",
  "%00",
  "%",
  "%ff",
  "%ed%a0%80",
  "-1",
  "0",
  "1.9",
  "1e999",
  "9223372036854775808",
  "null",
  "%5B%22a%22%5D",
  "%27%20or%201=1--",
  "-271821-04-20",
  "0000-01-01",
  "%F0%9F%92%A9",
  "WyJ4IiwxXQ",
  "x".repeat(3000)
]

/** Whether a value would make the service wait, as it should. */
export const isWait = ({ name }: Parameter, value: string): boolean => name === "wait" && Number(value) > 0

/** The same for both spellings of a name. */
const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

const queries = (operation: Operation, example: Example): ReadonlyArray<Mistake> => {
  const { query = {} } = example
  return parametersIn(operation, "query").flatMap((parameter) => {
    const { name, schema } = parameter
    const others = Object.entries(query).filter(([given]) => camel(given) !== camel(name))
    const call = callOf(operation, { ...example, query: Object.fromEntries(others) }, "")
    const isText =
      schema["enum"] === undefined && schema["format"] === undefined && schema["type"] === "string"
    return VALUES.filter((value) => !isWait(parameter, value)).map((value): Mistake => {
      const made = {
        ...call,
        name: `${name}=${value.slice(0, 40)}`,
        target: withQuery(call.target, `${name}=${value}`)
      }
      return isText && value === "%00" ? { call: made, wanted: /^400 / } : { call: made }
    })
  })
}

/** Everything that can be wrong with a request but for its body. */
export const mistakesOf = (operation: Operation, example: Example): ReadonlyArray<Mistake> => {
  const base = callOf(operation, example, "")
  return [
    ...credentials(operation, base),
    ...heads(operation, base),
    ...paths(operation, example),
    ...queries(operation, example)
  ]
}
