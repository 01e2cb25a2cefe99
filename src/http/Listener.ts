import { createServer, type Server, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { envelopeOf } from "../wire/catalogue.ts"
import { BadRequest } from "../wire/errors.ts"
import { CountedResponse } from "./CountedResponse.ts"
import { requestId } from "./RequestId.ts"

/** Node's server: what a request may take before the edge sees it, and the answers to what never becomes one. */

const limits = {
  ServerResponse: CountedResponse as typeof ServerResponse, // the platform wants the plain type
  maxHeaderSize: 16_384,
  headersTimeout: 10_000,
  /** From the first byte to the last of the body. */
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2000,
  /** Above the idle time of common balancers, so that theirs closes first. */
  keepAliveTimeout: 65_000,
  /** The edge refuses requests without it, with a body. */
  requireHostHeader: false,
  /** Nothing here speaks another protocol; a request that offers one is answered as it is. */
  shouldUpgradeCallback: () => false
}

interface Refusal {
  readonly statusLine: string
  readonly error: string
}

const refusals: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    statusLine: "431 Request Header Fields Too Large",
    error: "request headers are too large"
  },
  ERR_HTTP_REQUEST_TIMEOUT: { statusLine: "408 Request Timeout", error: "request took too long to arrive" }
}

const malformed: Refusal = { statusLine: "400 Bad Request", error: "request is not valid HTTP" }

/** The envelope for a request that the parser gave up on; the connection cannot be used any more. */
const rawAnswer = ({ error, statusLine }: Refusal): string => {
  const body = JSON.stringify(envelopeOf(new BadRequest({ error })))
  return [
    `HTTP/1.1 ${statusLine}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId(undefined, Date.now())}`,
    "x-content-type-options: nosniff",
    "cache-control: no-store",
    "connection: close",
    "",
    body
  ].join("\r\n")
}

const onClientError = (error: NodeJS.ErrnoException, socket: Socket) => {
  // an answer that has begun cannot be followed by another one
  const begun = socket.bytesWritten > 0 && (socket as { _httpMessage?: unknown })._httpMessage != null // set by Node while it answers
  if (error.code === "ECONNRESET" || !socket.writable || begun) return void socket.destroy()
  socket.end(rawAnswer(refusals[error.code ?? ""] ?? malformed))
  setTimeout(() => socket.destroy(), 1000).unref() // a client that neither reads nor leaves
}

/** A server with these limits and answers, not yet listening. */
export const make = (stricter: Partial<typeof limits> = {}): Server => {
  const server = createServer({ ...limits, ...stricter })
  server.on("clientError", onClientError)
  // RFC 9110 §10.1.1 lets a server ignore expectations it does not know
  server.on("checkExpectation", (request, response) => server.emit("request", request, response))
  return server
}

/** Listens on `HOST`:`PORT` as soon as it is built. */
export const layer = Layer.unwrap(
  Effect.map(AppConfig, ({ server: { host, port } }) =>
    // requests have ended in the drain; what still runs here had its time
    NodeHttpServer.layer(() => make(), { host, port, gracefulShutdownTimeout: "500 millis" })
  )
)
