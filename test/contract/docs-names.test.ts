import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { parse } from "yaml"
import { catalogue } from "../../src/wire/catalogue.ts"
import { blocksOf, placeOf, usesOf } from "../support/docs/blocks.ts"
import { type Document, documents, fileText, root, variables } from "../support/docs/documents.ts"

const uses = documents.flatMap(usesOf)
const kindOf = (kind: string) => uses.filter((use) => use.kind === kind).map(({ block }) => block)

/** What no test runs, by its first line: it installs, starts, or needs what tests do not have. */
const manual: Readonly<Record<string, ReadonlyArray<string>>> = {
  "README.md": [
    "npm install && npm start",
    "DATABASE_URL=postgres://user:password@host:5432/aitp_control_plane npm start",
    "docker compose up --build",
    "location / {",
    "npm install && npm test"
  ],
  "docs/deno.md": ["deno task start", "deno task test:contract"],
  "docs/faults.md": ["npm run test:faults -- --seed 17 --runs 5   # the seeds 17 … 21"],
  "docs/operations.md": ['pg_dump --format=custom --file=control-plane.dump "$DATABASE_URL"']
}

/** Names in capitals that are neither a variable of the service nor an error code. */
const otherNames = new Set([
  "CP_URL",
  "CP_API_KEY",
  "TEST_DATABASE_URL",
  "NODE_EXTRA_CA_CERTS",
  "UV_THREADPOOL_SIZE"
])

const scripts = Object.keys((JSON.parse(fileText("package.json")) as { readonly scripts: object }).scripts)

/** How a line that somebody is to type or send begins. */
const command = /^(?:\$ )?(?:curl|npm|npx|node|deno|docker|psql|pg_\w+|GET|POST|PUT|PATCH|DELETE) /m

describe("blocks of the documents", () => {
  it("are run, answers, files that are run, or listed here", () => {
    const found = Object.groupBy(kindOf("manual"), ({ path }) => path)
    const listed = Object.fromEntries(
      Object.entries(found).map(([path, blocks = []]) => [
        path,
        blocks.map(({ text }) => text.trimStart().split("\n")[0] ?? "")
      ])
    )
    assert.deepEqual(listed, manual)
    assert.isAbove(kindOf("run").length, 30)
    for (const file of kindOf("file")) {
      const isUsed = kindOf("run").some(({ text }) => text.includes(`node ${file.note}`))
      assert.isTrue(isUsed, `${placeOf(file)}: nobody runs ${file.note}`)
    }
  })

  it("without a language show formats, not commands", () => {
    const commands = kindOf("format").filter(({ text }) => command.test(text))
    assert.deepEqual(commands.map(placeOf), [])
  })

  it("are JSON and YAML where they say so", () => {
    for (const block of documents.flatMap(blocksOf)) {
      if (block.language === "json")
        assert.doesNotThrow(() => JSON.parse(block.text), undefined, placeOf(block))
      if (block.language === "yaml") assert.doesNotThrow(() => parse(block.text), undefined, placeOf(block))
    }
  })
})

/** The anchor of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-")

const deadLinks = ({ path, text }: Document) =>
  [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
    if (/^https?:/.test(target)) return []
    const [file = "", anchor] = target.split("#")
    const linked = file === "" ? path : join(dirname(path), file)
    if (!existsSync(join(root, linked))) return [`${path}: ${target}`]
    if (anchor === undefined) return []
    const anchors = [...fileText(linked).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchorOf(heading))
    return anchors.includes(anchor) ? [] : [`${path}: ${target}`]
  })

const isKnownName = (name: string) => variables.has(name) || catalogue.has(name) || otherNames.has(name)

const unknownNames = ({ path, text }: Document) => {
  const named = (pattern: RegExp, isKnown: (name: string) => boolean) =>
    [...text.matchAll(pattern)].flatMap(([, name = ""]) => (isKnown(name) ? [] : [`${path}: ${name}`]))
  return [
    ...named(/npm run\s+(?:--silent\s+)?([\w:-]+)/g, (name) => scripts.includes(name)),
    ...named(/\b((?:src|scripts|test|migrations)\/[\w./-]*\w)/g, (file) => existsSync(join(root, file))),
    ...named(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`=]/g, isKnownName)
  ]
}

describe("documents", () => {
  it("link to what exists", () => {
    assert.deepEqual(documents.flatMap(deadLinks), [])
  })

  it("name scripts, files, variables and codes that exist", () => {
    assert.deepEqual(documents.flatMap(unknownNames), [])
  })

  it("are all listed in the README and in llms.txt", () => {
    const names = documents.map(({ path }) => path).filter((path) => path.startsWith("docs/"))
    for (const name of names) {
      assert.include(fileText("README.md"), `(${name})`)
      assert.include(fileText("docs/llms.txt"), `(${name.slice("docs/".length)})`)
    }
  })

  it("stay short", () => {
    for (const { path, text } of documents) assert.isBelow(text.split("\n").length, 260, path)
  })
})

interface Description {
  readonly paths: Readonly<Record<string, object>>
}

/** A path without query and optional parts, its parameters without names. */
const shapeOf = (path: string) => path.replace(/[?[].*$/, "").replace(/<[^>]+>|:\w+|\{\w+\}/g, "{}")

const { paths } = JSON.parse(fileText("test/contract/openapi.json")) as Description
const routes = new Map(
  Object.entries(paths).map(([path, methods]) => [shapeOf(path), Object.keys(methods)] as const)
)

const unknownRoutes = ({ path, text }: Document) => {
  const withMethod = [...text.matchAll(/`(GET|POST|PUT|PATCH|DELETE) (\/[^\s`]*)/g)]
  const alone = [...text.matchAll(/`(\/(?:api|log|\.well-known|errors)\/[^\s`]*[^\s`/*])`/g)]
  return [
    ...withMethod.flatMap(([, method = "", route = ""]) =>
      routes.get(shapeOf(route))?.includes(method.toLowerCase()) === true
        ? []
        : [`${path}: ${method} ${route}`]
    ),
    ...alone.flatMap(([, route = ""]) => (routes.has(shapeOf(route)) ? [] : [`${path}: ${route}`]))
  ]
}

it("documents name routes that exist", () => {
  assert.isAbove(routes.size, 50)
  assert.deepEqual(documents.flatMap(unknownRoutes), [])
})
