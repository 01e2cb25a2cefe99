import { type IncomingHttpHeaders, request as nodeRequest } from "node:http"
import { connect } from "node:net"
import { Effect } from "effect"
import { TestApp } from "./TestApp.ts"

/** An answer as it came over the wire: nothing decoded, nothing followed. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  /** The body as JSON; throws when it is none. */
  readonly json: () => unknown
}

export interface Options {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Without `Content-Length`. */
  readonly chunked?: boolean
}

/** One request on a connection of its own; the path goes out exactly as given. */
export const send = (path: string, options: Options = {}): Effect.Effect<Answer, Error, TestApp> =>
  Effect.flatMap(TestApp, ({ port }) =>
    Effect.callback<Answer, Error>((resume) => {
      const { body, chunked, headers, method = body === undefined ? "GET" : "POST" } = options
      const length =
        body === undefined || chunked === true ? {} : { "content-length": Buffer.byteLength(body) }
      const request = nodeRequest({ port, path, method, headers: { ...length, ...headers }, agent: false })
      request.on("error", (error) => resume(Effect.fail(error)))
      request.on("response", (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () => {
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
        })
      })
      if (body !== undefined) request.write(body)
      request.end()
    })
  )

/** Status and code of an answer, which is what most tests are about. */
export const outcome = (path: string, options?: Options) =>
  Effect.map(send(path, options), (answer) => {
    const { code } = answer.json() as { readonly code?: string } // every answer asked this way is a JSON object
    return `${answer.status} ${code ?? "ok"}`
  })

/** With an API key. */
export const withKey = (key = "key-1"): Options => ({ headers: { authorization: `Bearer ${key}` } })

/** Everything the server sends on a connection that is given this text, until the server closes it. */
export const raw = (text: string | Buffer): Effect.Effect<string, never, TestApp> =>
  Effect.flatMap(TestApp, ({ port }) =>
    Effect.callback<string>((resume) => {
      let received = ""
      const socket = connect(port, "127.0.0.1", () => socket.write(text))
      socket.on("data", (chunk) => (received += chunk.toString("latin1")))
      socket.on("error", () => {}) // a reset after the answer is the server's right
      socket.on("close", () => resume(Effect.succeed(received)))
    })
  )
