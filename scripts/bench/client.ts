import { Effect } from "effect"
import { Agent, request } from "node:http"
import { BenchError } from "./model.ts"
import { API_KEY } from "./service.ts"

/** For what must be followed request by request; load comes from load.ts. */
const agent = new Agent({ keepAlive: true, maxSockets: 256 })

export const authorization = { authorization: `Bearer ${API_KEY}` }

export interface Reply {
  readonly status: number
  readonly body: string
  readonly headers: NodeJS.Dict<string | Array<string>>
}

/** Sends one request and gives its answer, whatever the status. */
export const send = (
  method: string,
  url: string,
  options: { readonly body?: string; readonly headers?: Readonly<Record<string, string>> } = {}
): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const { body, headers } = options
    const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) }
    const sent = request(
      url,
      { method, agent, headers: { ...authorization, ...length, ...headers } },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", reject)
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString("utf8"),
            headers: response.headers
          })
        )
      }
    )
    sent.on("error", reject)
    sent.end(body)
  })

/** The text of an answer that must have this status. */
export const sendFor = async (
  status: number,
  method: string,
  url: string,
  options: Parameters<typeof send>[2] = {}
): Promise<string> => {
  const reply = await send(method, url, options)
  if (reply.status !== status)
    throw new BenchError(`${method} ${url} answered ${reply.status}: ${reply.body.slice(0, 500)}`)
  return reply.body
}

/** A promise whose rejection is the workload's failure. */
export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, BenchError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => (error instanceof BenchError ? error : new BenchError(String(error)))
  })
