import { generateKeyPairSync } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Effect, type Scope } from "effect"
import { eventually } from "../db/eventually.ts"

/** How an issuer answers at one path. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface Request {
  readonly path: string
  /** On the clock of `performance.now`. */
  readonly at: number
  readonly headers: IncomingMessage["headers"]
}

/** An issuer on loopback that answers as it is told. */
export interface Issuer {
  /** Without a trailing slash. */
  readonly url: string
  /** What it answers at a path from now on; 404 anywhere else. */
  readonly answer: (path: string, answer: Answer) => void
  readonly requests: ReadonlyArray<Request>
}

/** Where issuers describe themselves. */
export const DISCOVERY = "/.well-known/openid-configuration"

/** A JSON answer. */
export const json =
  (body: unknown, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_request, response) => {
    response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
  }

/** Text, bytes and any status. */
export const saying =
  (status: number, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, headers).end(body)
  }

/** Never answers. */
export const silent: Answer = () => {}

/** A fresh Ed25519 key as issuers publish it. */
export const jwk = (): Readonly<Record<string, unknown>> => ({
  ...generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }),
  use: "sig",
  kid: "k"
})

/** Listens until the scope closes. */
export const startIssuer: Effect.Effect<Issuer, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly issuer: Issuer; readonly close: () => void }>((resume) => {
      const answers = new Map<string, Answer>()
      const requests: Array<Request> = []
      const server = createServer((request, response) => {
        const path = request.url ?? ""
        requests.push({ path, at: performance.now(), headers: request.headers })
        const answer = answers.get(path) ?? saying(404, "nothing here")
        answer(request, response)
      })
      server.listen(0, "127.0.0.1", () => {
        const bound = server.address()
        const port = typeof bound === "object" && bound !== null ? bound.port : 0
        const issuer: Issuer = {
          url: `http://127.0.0.1:${port}`,
          answer: (path, answer) => void answers.set(path, answer),
          requests
        }
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ issuer, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ),
  ({ issuer }) => issuer
)

/** Waits until so many requests have come. */
export const asked = ({ requests }: Issuer, times: number) =>
  eventually(
    Effect.sync(() => requests.length),
    (count) => count >= times
  )
