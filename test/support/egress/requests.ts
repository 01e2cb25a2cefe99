import { Effect } from "effect"
import { Egress } from "../../../src/egress/Egress.ts"
import type { OutboundRequest } from "../../../src/egress/model.ts"
import { inside } from "./policies.ts"

/** Loopback allowed, as for receivers on the same machine. */
export const loopback = inside("127.0.0.0/8")

/** Sends a request with limits that no test should reach. */
export const send = (url: string, more: Partial<OutboundRequest> = {}) =>
  Egress.use((egress) =>
    egress.send({
      method: "POST",
      url,
      headers: { "content-type": "text/plain" },
      body: "hello",
      policy: loopback,
      connectTimeoutMs: 10_000,
      headersTimeoutMs: 10_000,
      bodyTimeoutMs: 10_000,
      maxResponseBytes: 4096,
      ...more
    })
  )

/** A connection can be used again one turn of the event loop after an answer. */
export const connectionFree = Effect.promise(
  () => new Promise((resume) => setImmediate(() => setImmediate(resume)))
)
