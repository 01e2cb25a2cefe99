import { connect, createServer, type Server, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** Passes TCP connections on, until it is told to swallow what they send. */
export class Proxy {
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  /** While true nothing passes, in either direction, and no connection is closed: a half-open link. */
  silent = false
  /** Connections taken so far. */
  connections = 0

  private constructor(target: URL) {
    this.#server = createServer((near) => {
      this.connections += 1
      const far = connect(Number(target.port), target.hostname)
      this.#link(near, far)
      this.#link(far, near)
    })
  }

  #link(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.on("data", (chunk) => {
      if (!this.silent) to.write(chunk)
    })
    from.on("close", () => {
      this.#sockets.delete(from)
      if (!this.silent) to.destroy()
    })
    from.on("error", () => {})
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }

  /** In front of this server; gone with the scope. */
  static readonly make = (target: URL): Effect.Effect<Proxy, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.callback<Proxy>((resume) => {
        const proxy = new Proxy(target)
        proxy.#server.listen(0, "127.0.0.1", () => resume(Effect.succeed(proxy)))
      }),
      (proxy) =>
        Effect.sync(() => {
          for (const socket of proxy.#sockets) socket.destroy()
          proxy.#server.close()
        })
    )
}
