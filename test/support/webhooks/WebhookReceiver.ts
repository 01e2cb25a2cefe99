import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** A request as it came. */
export interface Received {
  /** On the clock of `performance.now()`: when its headers were there. */
  readonly at: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What a receiver does with the n-th request it has got, from 1. */
export type Behaviour = (response: ServerResponse, received: Received, n: number) => void

/** A webhook receiver: a real HTTP server, which behaves as badly as it is told. */
export interface WebhookReceiver {
  readonly url: string
  readonly received: ReadonlyArray<Received>
  /** Most requests that were unanswered at once. */
  readonly concurrency: () => number
  /** From now on. */
  readonly behave: (behaviour: Behaviour) => void
}

export const accept: Behaviour = (response) => void response.writeHead(200).end("ok")

export const answer =
  (status: number, body = "", headers: Readonly<Record<string, string>> = {}): Behaviour =>
  (response) =>
    void response.writeHead(status, headers).end(body)

/** Never answers. */
export const hang: Behaviour = () => {}

/** Closes the connection instead of answering. */
export const reset: Behaviour = (response) => void response.socket?.resetAndDestroy()

/** Answers what is no HTTP. */
export const garbage: Behaviour = (response) => void response.socket?.end("\0\u0001 not http\r\n\r\n")

/** Answers 200 and then megabytes. */
export const huge =
  (megabytes: number): Behaviour =>
  (response) => {
    response.writeHead(200)
    response.end(Buffer.alloc(megabytes * 1_048_576, "x"))
  }

/** Answers 200 at once and never ends the body. */
export const endless: Behaviour = (response) => {
  response.writeHead(200)
  response.write("and then")
}

export const slowly =
  (ms: number): Behaviour =>
  (response) =>
    void setTimeout(() => response.writeHead(200).end("late"), ms)

/** Listens on a free port of loopback; gone with the scope. */
export const receiver = (behaviour: Behaviour = accept): Effect.Effect<WebhookReceiver, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<WebhookReceiver & { readonly close: () => void }>((resume) => {
        let current = behaviour
        let open = 0
        let most = 0
        const received: Array<Received> = []
        const sockets = new Set<Socket>()
        const server = createServer((request, response) => {
          const at = performance.now()
          open += 1
          most = Math.max(most, open)
          response.once("close", () => {
            open -= 1
          })
          const chunks: Array<Buffer> = []
          request.on("error", () => {}).on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            const each = { at, headers: request.headers, body: Buffer.concat(chunks) }
            received.push(each)
            current(response, each, received.length)
          })
        })
        server.on("connection", (socket: Socket) => {
          sockets.add(socket)
          socket.on("error", () => {}).on("close", () => sockets.delete(socket))
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo // a TCP server that listens
          resume(
            Effect.succeed({
              url: `http://127.0.0.1:${port}/hook`,
              received,
              concurrency: () => most,
              behave: (next) => void (current = next),
              close: () => {
                for (const socket of sockets) socket.destroy()
                server.close()
              }
            })
          )
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    (running): WebhookReceiver => running
  )
