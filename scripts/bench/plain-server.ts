import { readFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"

/**
 * What `node:http` alone can do, for comparison: `GET` of a path of the file given as parameter is answered from memory;
 * `GET /stream` stays open and gets every body posted to `/stream`; any other `POST` is answered 204.
 */

interface Stored {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const [, , file] = process.argv
const answers = new Map<string, { readonly stored: Stored; readonly bytes: Buffer }>()
if (file !== undefined) {
  const routes = JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, Stored>>
  for (const [path, stored] of Object.entries(routes))
    answers.set(path, { stored, bytes: Buffer.from(stored.body) })
}

const streams = new Set<ServerResponse>()

const server = createServer((request, response) => {
  if (request.method === "POST") {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      response.writeHead(204).end()
      if (request.url !== "/stream") return
      const body = Buffer.concat(chunks)
      for (const stream of streams) stream.write(body)
    })
    return
  }
  if (request.url === "/stream") {
    response.writeHead(200, { "content-type": "text/event-stream" }).write(": connected\n\n")
    streams.add(response)
    response.on("close", () => streams.delete(response))
    return
  }
  const answer = answers.get(request.url ?? "")
  if (answer === undefined) response.writeHead(404).end()
  else if (answer.stored.status === 200) {
    response
      .writeHead(200, { ...answer.stored.headers, "content-length": answer.bytes.length })
      .end(answer.bytes)
  } else response.writeHead(answer.stored.status, answer.stored.headers).end()
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null)
    console.log(`Listening on http://127.0.0.1:${address.port}`)
})
process.once("SIGTERM", () => process.exit(0))
