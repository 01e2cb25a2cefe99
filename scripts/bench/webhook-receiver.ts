import { Effect } from "effect"
import { createHmac, randomUUID } from "node:crypto"
import { createServer } from "node:http"
import { attempt, sendFor } from "./client.ts"

/** What has come to a receiver; read when the measurement is over. */
interface Arrival {
  /** Of `performance.now()`, when the headers were there. */
  readonly at: number
  readonly body: string
  readonly signature: string
}

interface Delivered {
  readonly at: number
  readonly id: string
}

/** A receiver on loopback with a subscription to the events of one run id, both until the scope closes. */
export const receive = Effect.fnUntraced(function* (url: string) {
  const runId: string = randomUUID()
  const arrivals: Array<Arrival> = []
  const server = createServer((request, response) => {
    const at = performance.now()
    let body = ""
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
    request.on("end", () => {
      arrivals.push({ at, body, signature: String(request.headers["x-aitp-signature"]) })
      response.writeHead(204).end()
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const body = JSON.stringify({ url: `http://127.0.0.1:${port}/`, filter: { runId } })
  const { id, secret } = yield* Effect.acquireRelease(
    Effect.map(
      attempt(() => sendFor(201, "POST", `${url}/api/webhooks`, { body })),
      (text) => JSON.parse(text) as { readonly id: string; readonly secret: string }
    ),
    (webhook) => Effect.ignore(attempt(() => sendFor(204, "DELETE", `${url}/api/webhooks/${webhook.id}`)))
  )
  return {
    id,
    runId,
    count: () => arrivals.length,
    /** Takes out what has come; its signatures are checked. Throws at one that is wrong. */
    take: (): ReadonlyArray<Delivered> =>
      arrivals.splice(0).map(({ at, body: text, signature }) => {
        const expected = `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`
        if (signature !== expected) throw new Error(`a delivery is signed ${signature}, not ${expected}`)
        return { at, id: (JSON.parse(text) as { readonly payload: { readonly id: string } }).payload.id }
      })
  }
})
