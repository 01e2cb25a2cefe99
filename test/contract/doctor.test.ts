import { execFile } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { API_KEY, Control, ownService, Service } from "../support/service/Service.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** What the command prints with only these variables set, and its exit code. */
const doctor = (environment: Readonly<Record<string, string>>) =>
  Effect.callback<{ readonly code: number; readonly text: string }>((resume) => {
    const { PATH = "" } = process.env
    execFile(
      process.execPath,
      ["scripts/doctor.ts"],
      { cwd: root, env: { PATH, ...environment } },
      (error, stdout) => resume(Effect.succeed({ code: Number(error?.code ?? 0), text: stdout }))
    )
  })

/** A reverse proxy that keeps the body of an answer until it has all of it. */
const bufferingProxy = (target: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      const server = createServer((request, response) => {
        const { authorization = "" } = request.headers
        const gone = new AbortController()
        response.once("close", () => gone.abort())
        fetch(`${target}${request.url ?? ""}`, { headers: { authorization }, signal: gone.signal })
          .then(async (answer) => {
            response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" })
            response.flushHeaders()
            response.end(Buffer.from(await answer.arrayBuffer()))
          })
          .catch(() => response.destroy())
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
            close: () => server.closeAllConnections()
          })
        )
      )
    }),
    ({ close }) => Effect.sync(close)
  )

layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })("npm run doctor", (it) => {
  it.effect("finds nothing wrong with a service that runs as it should", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const { databaseUrl } = yield* Control
      const { code, text } = yield* doctor({
        DATABASE_URL: databaseUrl,
        CP_BASE_URL: url,
        API_KEYS: API_KEY
      })
      assert.notInclude(text, "FAILED")
      assert.strictEqual(code, 0)
      for (const found of [
        "database: reachable",
        "migrations: nothing pending",
        "notifications: sessions are kept",
        "event stream: first bytes after"
      ])
        assert.include(text, `ok       ${found}`)
    })
  )

  it.effect("names the database, the configuration and the address that do not work", () =>
    Effect.gen(function* () {
      const unreachable = yield* doctor({
        DATABASE_URL: "postgres://nobody@127.0.0.1:1/none",
        CP_BASE_URL: "http://127.0.0.1:1"
      })
      assert.strictEqual(unreachable.code, 1)
      for (const name of ["database", "notifications", "public address", "event stream"])
        assert.match(unreachable.text, new RegExp(`^FAILED   ${name}: .+`, "m"))
      const misconfigured = yield* doctor({ PORT: "http" })
      assert.strictEqual(misconfigured.code, 1)
      assert.match(misconfigured.text, /^FAILED   configuration: PORT/m)
    })
  )

  it.effect("notices a proxy that holds the event stream back", () =>
    Effect.gen(function* () {
      const { databaseUrl } = yield* Control
      const proxy = yield* bufferingProxy((yield* Service).url)
      const { code, text } = yield* doctor({
        DATABASE_URL: databaseUrl,
        CP_BASE_URL: proxy.url,
        API_KEYS: API_KEY
      })
      assert.strictEqual(code, 1)
      assert.match(text, /^FAILED   event stream: no byte of the stream within 2 s/m)
      assert.match(text, /^warning  public address: /m)
    })
  )
})
