import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http"
import { Effect, type Scope } from "effect"
import { eventually } from "../db/eventually.ts"

/** A message of the stream as `EventSource` would hand it out. */
export interface Message {
  readonly event: string
  readonly id: string | undefined
  readonly data: string
}

export interface Reset {
  readonly reason: string
  readonly position: string
}

const fieldsOf = (block: string, name: string): ReadonlyArray<string> =>
  block
    .split("\n")
    .filter((line) => line.startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).replace(/^ /, ""))

/** A client of the event stream that keeps what it got. */
export class Subscriber {
  readonly #request: ReturnType<typeof request>
  #response: IncomingMessage | undefined
  #rest = ""
  /** All that came, as text. */
  text = ""
  closed = false
  status = 0
  headers: IncomingHttpHeaders = {}
  body = ""
  readonly messages: Array<Message> = []
  /** As a browser keeps it for its next attempt. */
  lastEventId = ""

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    this.#request = request(url, { headers, agent: false }, (response) => {
      this.#response = response
      this.status = response.statusCode ?? 0
      this.headers = response.headers
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => this.#take(chunk))
      response.on("error", () => {})
      response.on("close", () => void (this.closed = true))
    })
    this.#request.on("error", () => void (this.closed = true))
    this.#request.end()
  }

  #take(chunk: string): void {
    this.text += chunk
    const blocks = (this.#rest + chunk).split("\n\n")
    this.#rest = blocks.pop() ?? ""
    for (const block of blocks) {
      const [id] = fieldsOf(block, "id")
      if (id !== undefined) this.lastEventId = id
      const data = fieldsOf(block, "data")
      if (data.length > 0)
        this.messages.push({ event: fieldsOf(block, "event")[0] ?? "message", id, data: data.join("\n") })
    }
  }

  get events(): ReadonlyArray<{ readonly seq: number; readonly type: string; readonly id: string }> {
    return this.messages.filter(({ event }) => event === "message").map(({ data }) => JSON.parse(data))
  }

  get seqs(): ReadonlyArray<number> {
    return this.events.map(({ seq }) => seq)
  }

  get resets(): ReadonlyArray<Reset> {
    return this.messages.filter(({ event }) => event === "reset").map(({ data }) => JSON.parse(data))
  }

  /** Takes no more bytes, as a client that hangs. */
  pause(): void {
    this.#response?.pause()
  }

  resume(): void {
    this.#response?.resume()
  }

  close(): void {
    this.#request.destroy()
  }

  /** Waits for what the condition asks of the subscriber. */
  until(condition: (subscriber: Subscriber) => boolean, withinMs?: number): Effect.Effect<Subscriber> {
    return eventually(
      Effect.sync(() => this),
      condition,
      withinMs
    )
  }
}

export interface Endpoint {
  readonly url: string
  readonly apiKey: string
}

/** Opens a stream that is closed with the scope; comes back with the head of the answer. */
export const subscribe = (
  { apiKey, url }: Endpoint,
  query = "",
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<Subscriber, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(
      () =>
        new Subscriber(`${url}/api/events/stream${query}`, { authorization: `Bearer ${apiKey}`, ...headers })
    ),
    (subscriber) => Effect.sync(() => subscriber.close())
  ).pipe(Effect.tap((subscriber) => subscriber.until(({ closed, status }) => closed || status > 0)))
