import { Agent, type IncomingHttpHeaders, request as nodeRequest } from "node:http"
import { connect } from "node:net"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Service } from "./Service.ts"

/** An answer as it came over the wire: nothing decoded, nothing followed. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  /** The body as JSON, in the shape that the test expects; throws when it is none. */
  readonly json: <T = Readonly<Record<string, unknown>>>() => T
}

export interface Options {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | ReadonlyArray<string>>>
  /** Sent as it is; anything but text and bytes as JSON. */
  readonly body?: unknown
  /** Without `Content-Length`. */
  readonly chunked?: boolean
  /** Sends the API key. */
  readonly key?: boolean
}

const agents = new Map<string, Agent>()
const agentOf = (url: string): Agent => {
  const known = agents.get(url)
  if (known !== undefined) return known
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  agents.set(url, agent)
  return agent
}

/** Bytes, never text: Node sends text together with the headers, in the encoding of the text. */
const wireBody = (body: unknown): Buffer =>
  Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body))

/** One request; the path goes out exactly as given. Of an event stream the first bytes are the answer. */
export const sendTo = (
  { apiKey, url }: { readonly url: string; readonly apiKey: string },
  path: string,
  options: Options = {}
): Effect.Effect<Answer, Error> =>
  Effect.callback<Answer, Error>((resume) => {
    const body = options.body === undefined ? undefined : wireBody(options.body)
    const { chunked, headers, key, method = body === undefined ? "GET" : "POST" } = options
    const { hostname, port } = new URL(url)
    const request = nodeRequest({
      hostname,
      port,
      path,
      method,
      // a server that refuses a body unread may close the connection, under the feet of the next request
      agent: chunked === true || (body !== undefined && body.length > 100_000) ? false : agentOf(url),
      headers: {
        ...(body === undefined || chunked === true ? {} : { "content-length": Buffer.byteLength(body) }),
        ...(key === true ? { authorization: `Bearer ${apiKey}` } : {}),
        ...headers
      }
    })
    request.on("error", (error) => resume(Effect.fail(error)))
    request.on("response", (response) => {
      const chunks: Array<Buffer> = []
      const isEndless = response.headers["content-type"] === "text/event-stream"
      const finish = () => {
        const bytes = Buffer.concat(chunks)
        const text = bytes.toString("utf8")
        resume(
          Effect.succeed({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes,
            text,
            json: () => JSON.parse(text)
          })
        )
      }
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        if (!isEndless) return
        finish()
        request.destroy()
      })
      response.on("error", (error) => resume(Effect.fail(error)))
      response.on("end", finish)
    })
    if (body !== undefined) request.write(body)
    request.end()
    return Effect.sync(() => request.destroy())
  })

/** One request to the service of the suite. */
export const send = (path: string, options: Options = {}): Effect.Effect<Answer, Error, Service> =>
  Effect.flatMap(Service, (service) => sendTo(service, path, options))

/** A GET with the API key that must succeed; its body. */
export const read = <T = Readonly<Record<string, unknown>>>(path: string): Effect.Effect<T, Error, Service> =>
  Effect.map(send(path, { key: true }), (answer) => {
    assert.strictEqual(answer.status, 200, answer.text)
    return answer.json<T>()
  })

/** Status and code of an answer, which is what most tests are about. */
export const outcomeOf = (answer: Answer): string => {
  if (answer.text === "") return `${answer.status}`
  const { code } = answer.json<{ readonly code?: unknown }>()
  return `${answer.status} ${typeof code === "string" ? code : "ok"}`
}

export const outcome = (path: string, options?: Options) => Effect.map(send(path, options), outcomeOf)

/** Everything the server sends on a connection that is given these bytes, until the server closes it. */
export const raw = (given: string | Buffer): Effect.Effect<string, never, Service> =>
  Effect.flatMap(Service, ({ url }) =>
    Effect.callback<string>((resume) => {
      const { hostname, port } = new URL(url)
      let received = ""
      const socket = connect(Number(port), hostname, () => socket.write(given))
      socket.on("data", (chunk) => (received += chunk.toString("latin1")))
      socket.on("error", () => {}) // a reset after the answer is the server's right
      socket.on("close", () => resume(Effect.succeed(received)))
      return Effect.sync(() => socket.destroy())
    })
  )
