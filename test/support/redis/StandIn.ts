import { createServer, type Server, type Socket } from "node:net"
import { error, integer, nil, ok, readRequest } from "./protocol.ts"

interface Entry {
  value: string
  /** On the clock of `Date.now`; infinite for a key that stays. */
  expiresAt: number
}

/**
 * Speaks the Redis protocol and keeps expiring counters, as Redis documents the commands it knows. The suites run
 * against it everywhere, so that they need nothing but npm, and besides against a real server where there is one.
 */
export class StandIn {
  readonly #entries = new Map<string, Entry>()
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  /** Answers everything with this error while it is set. */
  refusal: string | undefined

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      let received = ""
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1")
        for (let request = readRequest(received); request !== undefined; request = readRequest(received)) {
          received = request.rest
          socket.write(this.#reply(request.words))
        }
      })
      socket.on("close", () => this.#sockets.delete(socket))
      socket.on("error", () => {})
    })
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, "127.0.0.1", resolve))
  }

  /** As a killed process: connections break, everything is forgotten. */
  kill(): Promise<void> {
    this.#entries.clear()
    for (const socket of this.#sockets) socket.destroy()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry !== undefined && entry.expiresAt > Date.now()) return entry
    this.#entries.delete(key)
    return undefined
  }

  #reply([command = "", key = "", ...rest]: ReadonlyArray<string>): string {
    if (this.refusal !== undefined) return error(this.refusal)
    switch (command.toUpperCase()) {
      case "PING":
        return "+PONG\r\n"
      case "SET": {
        const options = rest.slice(1).map((word) => word.toUpperCase())
        if (options.includes("NX") && this.#live(key) !== undefined) return nil
        const px = options.indexOf("PX")
        const expiresAt = px === -1 ? Number.POSITIVE_INFINITY : Date.now() + Number(options[px + 1])
        this.#entries.set(key, { value: rest[0] ?? "", expiresAt })
        return ok
      }
      case "INCR": {
        const entry = this.#live(key) ?? { value: "0", expiresAt: Number.POSITIVE_INFINITY }
        entry.value = String(Number(entry.value) + 1)
        this.#entries.set(key, entry)
        return integer(Number(entry.value))
      }
      case "PTTL": {
        const entry = this.#live(key)
        if (entry === undefined) return integer(-2)
        return integer(entry.expiresAt === Number.POSITIVE_INFINITY ? -1 : entry.expiresAt - Date.now())
      }
      case "PEXPIRE": {
        const entry = this.#live(key)
        if (entry !== undefined) entry.expiresAt = Date.now() + Number(rest[0])
        return integer(entry === undefined ? 0 : 1)
      }
      default:
        return error(`ERR unknown command '${command}'`)
    }
  }
}
