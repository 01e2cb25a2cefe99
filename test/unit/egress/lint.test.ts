import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { restrictedUses } from "../../support/egress/lint.ts"

const root = join(import.meta.dirname, "../../..")

/** A file in every part of the source tree that has rules of its own for imports. */
const places: ReadonlyArray<(n: number) => string> = [
  (n) => `src/s${n}.ts`,
  (n) => `src/webhooks/s${n}.ts`,
  (n) => `src/s${n}/http.ts`,
  (n) => `src/aitp/s${n}.ts`,
  (n) => `src/wire/s${n}.ts`,
  (n) => `src/db/s${n}.ts`,
  (n) => `src/http/s${n}.ts`
]

const forbidden = [
  'export { request } from "node:http"',
  'export * from "node:http"',
  'import { get } from "http"; get("x")',
  'import http from "node:http"; http.get("x")',
  'import * as https from "node:https"; https.get("x")',
  'import { connect } from "node:http2"; connect("x")',
  'import { connect } from "node:net"; connect(1)',
  'import { Socket } from "node:net"; export const socket = new Socket()',
  'import { connect } from "node:tls"; connect(1)',
  'import { lookup } from "node:dns/promises"; await lookup("x")',
  'import { request } from "undici"; await request("x")',
  'import { HttpClient } from "effect/http"; export const client = HttpClient',
  'import * as Http from "effect/http"; export const client = Http',
  'import * as Fetch from "effect/http/FetchHttpClient"; export const client = Fetch',
  'import * as Client from "@effect/platform-node/NodeHttpClient"; export const client = Client',
  'import * as Platform from "@effect/platform-node"; export const platform = Platform',
  'import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"; new OTLPTraceExporter()',
  'await fetch("x")',
  'await globalThis.fetch("x")',
  'export const socket = new WebSocket("x")',
  'export const source = new EventSource("x")',
  'export const net = process.getBuiltinModule("node:net")'
]

const allowed = [
  'import { createServer, ServerResponse } from "node:http"; export const all = [createServer, ServerResponse]',
  'import type { Socket } from "node:net"; export const close = (socket: Socket) => socket.destroy()',
  'import { isIP } from "node:net"; export const family = isIP("x")',
  'import { HttpServerRequest } from "effect/http"; export const tag = HttpServerRequest'
]

/** Restrictions that stand beside this one. */
const others: ReadonlyArray<readonly [file: string, text: string]> = [
  ["src/webhooks/app.ts", 'export { App } from "../app.ts"'],
  ["src/egress/app.ts", 'export { App } from "../app.ts"'],
  ["src/tcts/http.ts", 'export { App } from "../app.ts"'],
  ["src/sessions/http.ts", 'export { Db } from "../db/Db.ts"'],
  ["src/aitp/config.ts", 'export { AppConfig } from "../config.ts"'],
  ["src/wire/feature.ts", 'export { Tcts } from "../tcts/Tcts.ts"'],
  ["src/db/feature.ts", 'export { Tcts } from "../tcts/Tcts.ts"'],
  ["src/config.ts", 'export { Tcts } from "./a/../tcts/Tcts.ts"; export { Db } from "../a/b.ts"'],
  ["src/http/feature.ts", 'export { Tcts } from "../tcts/Tcts.ts"']
]

const exempt: ReadonlyArray<readonly [file: string, text: string]> = [
  ["src/egress/client.ts", 'export { Agent } from "undici"'],
  ["src/egress/socket.ts", 'export { connect } from "node:net"'],
  ["src/ops/otlp.ts", 'export { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"']
]

type Sample = readonly [file: string, text: string]

describe("the rule that requests leave through the guarded client only", () => {
  const everywhere = (texts: ReadonlyArray<string>, from: number): ReadonlyArray<Sample> =>
    places.flatMap((place) => texts.map((text, n) => [place(from + n), text] as const))

  const refused: ReadonlyArray<Sample> = [
    ...everywhere(forbidden, 0),
    ["src/main.ts", forbidden[0] ?? ""],
    ...others
  ]
  const passed: ReadonlyArray<Sample> = [...everywhere(allowed, 100), ...exempt]
  const found = restrictedUses(new Map([...refused, ...passed]))

  it("refuses every other way out in every part of the tree, and what was refused there before", () => {
    assert.deepEqual(
      refused.filter(([file]) => !found.has(file)),
      []
    )
  })

  it("allows what a listener needs, and the client and the exporter in their own places", () => {
    assert.deepEqual(
      passed.filter(([file]) => found.has(file)),
      []
    )
  })

  it("is not got round by imports at run time, which the linter does not look at", () => {
    const config = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8"))
    const [, { patterns }] = config.rules["no-restricted-imports"]
    const restricted = new RegExp(patterns.find((pattern: object) => "regex" in pattern).regex)
    const source = join(root, "src")
    const late = readdirSync(source, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) =>
        Array.from(
          readFileSync(join(source, file), "utf8").matchAll(/\b(?:import|require)\s*\(\s*([^)]*)\)/g),
          ([, name = ""]) => ({ file, name })
        )
      )
    assert.isNotEmpty(late)
    assert.deepEqual(
      late.filter(({ name }) => !/^"[^"]+"$/.test(name) || restricted.test(name.slice(1, -1))),
      []
    )
  })
})
