import { Effect } from "effect"
import type { Dispatcher } from "undici"
import { reasonOf } from "./failure.ts"
import { type OutboundRequest, type OutboundResponse, RequestFailed, TargetRefused } from "./model.ts"

type Outcome = Effect.Effect<OutboundResponse, TargetRefused | RequestFailed>
type ResponseHeaders = Parameters<NonNullable<Dispatcher.DispatchHandler["onResponseStart"]>>[2]

const toMap = (headers: ResponseHeaders): ReadonlyMap<string, string> => {
  const map = new Map<string, string>()
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (value !== undefined) map.set(name, Array.isArray(value) ? value.join(", ") : value)
  }
  return map
}

/** One request and its answer: holds the limits of time and size, and settles exactly once. */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: OutboundRequest
  readonly #settle: (outcome: Outcome) => void
  readonly #began = performance.now()
  #body = Buffer.alloc(0)
  #received = 0
  #phase: RequestFailed["phase"] = "connect"
  #status = 0
  #headers: ReadonlyMap<string, string> = new Map()
  #controller: Dispatcher.DispatchController | undefined
  #timer: NodeJS.Timeout | undefined
  #settled = false

  constructor(request: OutboundRequest, settle: (outcome: Outcome) => void) {
    this.#request = request
    this.#settle = settle
  }

  /** Starts the clock of the connection, unless the request is already on one. */
  begin(): void {
    if (this.#phase === "connect" && !this.#settled)
      this.#limit(
        Math.min(this.#request.connectTimeoutMs, this.#request.headersTimeoutMs),
        "no connection in time"
      )
  }

  /** Ends the exchange without an outcome; its connection is closed. */
  abandon(): void {
    this.#finish()
    this.#controller?.abort(new Error("abandoned"))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#settled) return controller.abort(new Error("abandoned"))
    this.#phase = "headers"
    this.#limit(this.#request.headersTimeoutMs - (performance.now() - this.#began), "no answer in time")
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: ResponseHeaders): void {
    if (status < 200) return
    this.#phase = "body"
    this.#status = status
    this.#headers = toMap(headers)
    this.#limit(this.#request.bodyTimeoutMs, "the body did not end in time")
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.#settled) return
    const room = this.#request.maxResponseBytes - this.#received
    this.#keep(chunk.length > room ? chunk.subarray(0, room) : chunk)
    if (chunk.length <= room) return
    this.#succeed(true)
    controller.abort(new Error("enough"))
  }

  onResponseEnd(): void {
    this.#succeed(false)
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#fail(
      error instanceof TargetRefused || error instanceof RequestFailed ? error : this.#failed(reasonOf(error))
    )
  }

  /** Copied, because a body may come in as many chunks as it has bytes, each with the buffer it was read into. */
  #keep(chunk: Uint8Array): void {
    const length = this.#received + chunk.length
    if (length > this.#body.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, Math.min(2 * length, this.#request.maxResponseBytes)))
      this.#body.copy(grown, 0, 0, this.#received)
      this.#body = grown
    }
    this.#body.set(chunk, this.#received)
    this.#received = length
  }

  #limit(ms: number, reason: string): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#fail(this.#failed(reason))
      this.#controller?.abort(new Error(reason))
    }, ms)
  }

  #failed(reason: string): RequestFailed {
    return new RequestFailed({
      phase: this.#phase,
      reason,
      ...(this.#phase === "body" ? { status: this.#status } : {})
    })
  }

  #finish(): void {
    clearTimeout(this.#timer)
    this.#settled = true
  }

  #succeed(truncated: boolean): void {
    if (this.#settled) return
    this.#finish()
    this.#settle(
      Effect.succeed({
        status: this.#status,
        headers: this.#headers,
        body: this.#body.subarray(0, this.#received),
        truncated,
        durationMs: Math.round(performance.now() - this.#began)
      })
    )
  }

  #fail(error: TargetRefused | RequestFailed): void {
    if (this.#settled) return
    this.#finish()
    this.#settle(Effect.fail(error))
  }
}
