import { Effect, type Scope } from "effect"
import { createServer, type Server, type Socket } from "node:net"
import { createServer as createSecureServer, type SecureContextOptions } from "node:tls"

/** Called at the head of every request. */
export type Answer = (socket: Socket, request: string) => void

export interface ReceiverOptions {
  readonly address?: string
  /** 0: a free one. */
  readonly port?: number
  readonly tls?: SecureContextOptions
}

/** A server that answers byte for byte as it is told, and counts what reaches it. */
export class Receiver {
  /** Connections taken so far. */
  connections = 0
  /** Connections that are closed again. */
  closed = 0
  /** Everything received, over all connections. */
  received = ""
  readonly port: number

  private constructor(port: number) {
    this.port = port
  }

  /** Listens on a free port of a loopback address; gone with the scope. */
  static readonly make = (
    answer: Answer,
    { address = "127.0.0.1", port = 0, tls }: ReceiverOptions = {}
  ): Effect.Effect<Receiver, never, Scope.Scope> => {
    const sockets = new Set<Socket>()
    let receiver: Receiver | undefined
    const take = (socket: Socket) => {
      socket
        .on("error", () => {})
        .on("data", (chunk) => {
          const text = chunk.toString("latin1")
          if (receiver !== undefined) receiver.received += text
          if (/^(?:GET|POST) /.test(text)) answer(socket, text)
        })
    }
    const server: Server = tls === undefined ? createServer(take) : createSecureServer(tls, take)
    server.on("tlsClientError", () => {})
    // The TCP connection itself, also of a TLS server whose handshake fails.
    server.on("connection", (socket: Socket) => {
      sockets.add(socket)
      if (receiver !== undefined) receiver.connections += 1
      socket
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(socket)
          if (receiver !== undefined) receiver.closed += 1
        })
    })
    return Effect.acquireRelease(
      Effect.callback<Receiver>((resume) => {
        server.listen(port, address, () => {
          const bound = server.address()
          receiver = new Receiver(typeof bound === "object" && bound !== null ? bound.port : 0)
          resume(Effect.succeed(receiver))
        })
      }),
      () =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
  }
}

/** Answers every request with these bytes. */
export const saying =
  (text: string): Answer =>
  (socket) =>
    socket.write(text)

/** A complete answer with this body. */
export const ok = (body = "ok", headers = "") =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`
