import { Effect } from "effect"
import { type ClientRequest, request } from "node:http"
import { authorization } from "./client.ts"
import { BenchError } from "./model.ts"

/** An open stream; what arrives is handed over as it came. */
const open = (
  url: string,
  onChunk: (chunk: Buffer) => void,
  onEnd: (why: string) => void
): Promise<ClientRequest> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { headers: authorization, agent: false }, (response) => {
      if (response.statusCode !== 200) return reject(new BenchError(`${url} answered ${response.statusCode}`))
      response.once("data", () => {
        response.on("data", onChunk)
        resolve(sent)
      })
      response.on("error", () => {}).on("close", () => onEnd("a stream ended"))
    })
    sent.on("error", (error) => {
      onEnd(error.message)
      reject(error)
    })
    sent.end()
  })

const AT_ONCE = 50

/** Opens so many streams until the scope closes; the first bytes of each have come and are not handed over. */
export const subscribe = (
  url: string,
  count: number,
  onChunk: (index: number, chunk: Buffer) => void,
  onEnd: (why: string) => void = () => {}
) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const requests: Array<ClientRequest> = []
        while (requests.length < count) {
          const begun = requests.length
          const size = Math.min(AT_ONCE, count - begun)
          const opened = Array.from({ length: size }, (_, i) =>
            open(url, (chunk) => onChunk(begun + i, chunk), onEnd)
          )
          requests.push(...(await Promise.all(opened)))
        }
        return requests
      },
      catch: (error) => (error instanceof BenchError ? error : new BenchError(String(error)))
    }),
    (requests) => Effect.sync(() => requests.forEach((each) => each.destroy()))
  )
