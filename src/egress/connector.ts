import { Cause, type Context, Effect, Exit } from "effect"
import * as NetAddress from "effect/net/NetAddress"
import { connect as openSocket, type Socket } from "node:net"
import { buildConnector } from "undici"
import { reasonOf } from "./failure.ts"
import { RequestFailed, TargetRefused } from "./model.ts"
import { type Addresses, literalOf, type Resolve } from "./names.ts"
import type { TargetPolicy } from "./policy.ts"
import { unmapped } from "./special-ranges.ts"
import { addressesRefusal, type Place } from "./target.ts"

const KEEP_ALIVE_PROBE_MS = 60_000

const notConnected = (reason: string) => new RequestFailed({ phase: "connect", reason })

const keyOf = (address: NetAddress.IpAddress) => NetAddress.formatIp(unmapped(address))

/** Opens a socket to one of the addresses; the host's name is not looked up again. */
const open = ({ hostname, port, protocol }: Place, addresses: Addresses, keep: (socket: Socket) => void) =>
  Effect.callback<Socket, RequestFailed>((resume) => {
    const found = addresses.map((address) => ({
      address: NetAddress.formatIp(address),
      family: NetAddress.isIpv4Address(address) ? 4 : 6
    }))
    const socket = openSocket({
      host: hostname,
      port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
      lookup: (_name, _options, done) => done(null, found),
      autoSelectFamily: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS
    })
    keep(socket)
    socket
      .once("connect", () => resume(Effect.succeed(socket)))
      .on("error", (error) => resume(Effect.fail(notConnected(reasonOf(error)))))
  })

/** True when the other end of a connected socket is one of the addresses. */
const endsAt = (socket: Socket, addresses: Addresses): boolean => {
  const peer = literalOf(socket.remoteAddress ?? "")
  return peer !== undefined && addresses.some((address) => keyOf(address) === keyOf(peer))
}

export interface ConnectorOptions {
  readonly policy: TargetPolicy
  /** For resolving, TCP and TLS together. */
  readonly connectTimeoutMs: number
  readonly resolve: Resolve
  readonly context: Context.Context<never>
}

/**
 * Opens connections for undici: all addresses of the host are judged, the socket is opened to one of these, and its
 * other end is compared with them before the first byte. Nothing is looked up twice, so a name whose answer changes
 * in between gains nothing. A host that is written as an address goes the same way without a look-up.
 */
export const guardedConnector = (options: ConnectorOptions): buildConnector.connector => {
  const { policy, connectTimeoutMs, resolve } = options
  const run = Effect.runForkWith(options.context)
  // HTTP/1.1 only; the time limit is that of the whole connection.
  const upgrade = buildConnector({ allowH2: false, timeout: 0 })

  const encrypt = (socket: Socket, request: buildConnector.Options) =>
    Effect.callback<Socket, RequestFailed>((resume) => {
      upgrade({ ...request, httpSocket: socket }, (...[error, secured]) =>
        resume(error === null ? Effect.succeed(secured) : Effect.fail(notConnected(reasonOf(error))))
      )
    })

  const connected = (request: buildConnector.Options) => {
    let opened: Socket | undefined
    return Effect.gen(function* () {
      const addresses = yield* resolve(request.hostname)
      const refusal = addressesRefusal(request, addresses, policy)
      if (refusal !== undefined) return yield* refusal
      const socket = yield* open(request, addresses, (socket) => (opened = socket))
      if (!endsAt(socket, addresses))
        return yield* new TargetRefused({ rule: "address", reason: "the connection ended elsewhere" })
      return request.protocol === "https:" ? yield* encrypt(socket, request) : socket
    }).pipe(
      Effect.onExit((exit) => (Exit.isFailure(exit) ? Effect.sync(() => opened?.destroy()) : Effect.void)),
      Effect.tapDefect((defect) => Effect.logError("a connection could not be judged", defect)),
      Effect.timeoutOrElse({
        duration: connectTimeoutMs,
        orElse: () => Effect.fail(notConnected("no connection in time"))
      })
    )
  }

  return (request, callback) => {
    run(connected(request)).addObserver((exit) => {
      if (Exit.isSuccess(exit)) return callback(null, exit.value)
      const error = Cause.squash(exit.cause)
      callback(error instanceof Error ? error : new Error("not connected"), null)
    })
  }
}
