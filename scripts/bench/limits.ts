import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startChild } from "./child.ts"
import type { Reply } from "./client.ts"
import type { Load } from "./load.ts"
import { Rig } from "./Rig.ts"
import { environment } from "./service.ts"

/** An answer that the plain server gives from memory. */
export interface Stored {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A server of `node:http` alone with these answers by path; see plain-server.ts for what else it does. */
export const startPlain = Effect.fnUntraced(function* (routes: Readonly<Record<string, Stored>> = {}) {
  const { folder } = yield* Rig
  const file = join(folder, `${randomUUID()}.json`)
  writeFileSync(file, JSON.stringify(routes))
  return yield* startChild("scripts/bench/plain-server.ts", {}, [file])
})

/** The service's edge in front of an empty route. Production asks for a database, which this one never calls. */
export const startHello = startChild("scripts/bench/hello-server.ts", {
  ...environment,
  DATABASE_URL: "postgres://nobody@127.0.0.1/none"
})

/** Requests to it. */
export const helloLoad = (url: string, connections: number): Omit<Load, "seconds"> => ({
  url,
  connections,
  shots: [
    {
      path: "/api/hello",
      check: ({ headers, status }) =>
        status !== 204 ? "status" : headers["x-request-id"] === undefined ? "no request id" : undefined
    }
  ]
})

/** Requests for an answer of the plain server. */
export const plainLoad = (
  url: string,
  connections: number,
  path: string,
  { body, status }: Stored
): Omit<Load, "seconds"> => ({
  url,
  connections,
  shots: [
    { path, check: (answer) => (answer.status === status && answer.body === body ? undefined : "other") }
  ]
})

/** Headers that a server adds by itself. */
const OWN_HEADERS = new Set(["connection", "content-length", "date", "keep-alive", "transfer-encoding"])

/** What the service answered, for the plain server to answer it too. */
export const storedOf = ({ body, headers, status }: Reply): Stored => {
  const kept = Object.entries(headers).flatMap(([name, value]) =>
    OWN_HEADERS.has(name) || value === undefined ? [] : [[name, String(value)]]
  )
  return { status, body, headers: Object.fromEntries(kept) }
}
