import { createServer } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { answerFault } from "../support/docs/answers.ts"
import { placeOf, type Use, usesOf } from "../support/docs/blocks.ts"
import { documents } from "../support/docs/documents.ts"
import { runBlocks } from "../support/docs/shell.ts"
import { send } from "../support/service/client.ts"
import { API_KEY, Control, isRemote, ownService, Service } from "../support/service/Service.ts"

/** Every document with all uses of its blocks. */
const pages = documents.map((document) => ({ document, uses: usesOf(document) }))

const ofKind = <K extends Use["kind"]>(uses: ReadonlyArray<Use>, kind: K) =>
  uses.filter((use): use is Extract<Use, { kind: K }> => use.kind === kind)

/** Files that documents show; commands of all documents may use them. */
const files = Object.fromEntries(
  pages.flatMap(({ uses }) => ofKind(uses, "file").map(({ block }) => [block.note, block.text]))
)

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() =>
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    )
  })
})

/** Runs all commands of a document against the service of the suite and compares what they print. */
const perform = Effect.fnUntraced(function* (uses: ReadonlyArray<Use>) {
  const { databaseUrl } = yield* Control
  const { url } = yield* Service
  const commands = ofKind(uses, "run")
  const ran = yield* runBlocks(
    commands.map(({ block }) => block),
    {
      files,
      environment: {
        CP_URL: url,
        CP_API_KEY: API_KEY,
        KEY: API_KEY,
        VKEY: (yield* send("/log/key")).text.trim(),
        // of the service itself
        DATABASE_URL: databaseUrl,
        CP_BASE_URL: url,
        API_KEYS: API_KEY
      },
      addresses: {
        "localhost:4000": new URL(url).host,
        "https://cp.example.com": url,
        "4999": String(yield* freePort),
        // public, and inert
        "receiver.example.com": "203.0.113.10"
      }
    }
  )
  for (const [index, { answer }] of commands.entries()) {
    if (answer === undefined) continue
    const printed = ran[index]?.printed ?? ""
    const fault = answerFault(answer.language, answer.text, printed)
    assert.isUndefined(fault, `${placeOf(answer)}: ${fault}\nprinted:\n${printed.slice(0, 2000)}`)
  }
})

const runnable = pages.filter(({ uses }) => ofKind(uses, "run").length > 0)
const pagesOf = (...paths: ReadonlyArray<string>) =>
  runnable.filter(({ document }) => paths.includes(document.path))
const separate = new Set(["README.md", "docs/operations.md"])

/** Nothing is fetched from elsewhere. */
const suite = (name: string, settings: Readonly<Record<string, string>>, suitePages: typeof pages) =>
  layer(ownService({ JWKS_REFRESH_ENABLED: "false", ...settings }), {
    timeout: "60 seconds",
    excludeTestServices: true
  })(name, (it) => {
    it.effect.each(suitePages)("$document.path", ({ uses }) => perform(uses), 60_000)
  })

describe.skipIf(isRemote)("commands of the documents", () => {
  suite(
    "on a service with keys, which may deliver to this machine",
    { WEBHOOK_ALLOW_CIDRS: "127.0.0.0/8" },
    runnable.filter(({ document }) => !separate.has(document.path))
  )
  // as the quick start leaves it: without keys, every route is open
  suite("on a service just installed", { API_KEYS: "" }, pagesOf("README.md"))
  // gives the ledger another epoch
  suite("on a service of its own", {}, pagesOf("docs/operations.md"))
})
