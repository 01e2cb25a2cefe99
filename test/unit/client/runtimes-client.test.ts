import { execFile } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { codedSet } from "../../../src/revocation/filter-set.ts"
import {
  common,
  digestOf,
  listText,
  publishedAt,
  publisher
} from "../../support/revocation-feeds/documents.ts"
import { type Entry, inOrder, jtiOf } from "../../support/revocation-feeds/histories.ts"

const run = promisify(execFile)

const folder = new URL("../../../src/client/", import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith(".ts"))
const bin = (name: string) => fileURLToPath(new URL(`../../../node_modules/.bin/${name}`, import.meta.url))

const cp = publisher("runtimes")
const entries: ReadonlyArray<Entry> = inOrder(
  Array.from({ length: 40 }, (_, n) => ({ jti: jtiOf(n), revoked_at: 1_699_000_000 }))
)
const [first] = entries
const added: Entry = { jti: jtiOf(99), revoked_at: 1_699_000_001, reason: "ü" }

const given = {
  issuer: cp.aid,
  now: publishedAt(2),
  list: listText(cp, 1, entries),
  delta: cp.sign("revocation_delta", {
    ...common(cp, 2),
    from: 1,
    to: 2,
    prev_sha256: digestOf(entries),
    entries_sha256: digestOf([...entries.slice(1), added]),
    added: [added],
    removed: [first?.jti]
  }),
  filter: cp.sign("revocation_filter", {
    ...common(cp, 1),
    list_version: 1,
    entries: entries.length,
    entries_sha256: digestOf(entries),
    algorithm: "gcs-sha256-p20",
    false_positive_rate: "1/1048576",
    data: Buffer.from(
      codedSet(
        entries.map(({ jti }) => jti),
        Buffer.from(digestOf(entries), "base64url")
      )
    ).toString("base64url")
  }),
  status: cp.sign("revocation_status", {
    ...common(cp, 2),
    list_version: 2,
    jti: added.jti,
    revoked: true,
    revoked_at: added.revoked_at
  }),
  gone: first?.jti,
  added: added.jti
}

/** Reads every kind of document and prints what a client would decide. */
const script = `
import { applyRevocationDelta } from "${new URL("revocation-delta.ts", folder).href}"
import { mightContain, readRevocationFilter } from "${new URL("revocation-filter.ts", folder).href}"
import { isRevoked, readRevocationList } from "${new URL("revocation-list.ts", folder).href}"
import { readRevocationStatus } from "${new URL("revocation-status.ts", folder).href}"
const { issuer, now, list, delta, filter, status, gone, added } = ${JSON.stringify(given)}
const held = await readRevocationList(list, issuer)
const next = await applyRevocationDelta(held, delta)
const set = await readRevocationFilter(filter, issuer)
const refused = await readRevocationFilter(filter.replace('"entries":40', '"entries":41'), issuer).catch((e) => e.code)
console.log(JSON.stringify([
  isRevoked(held, gone, { now }), isRevoked(next, gone, { now }), isRevoked(next, added, { now }),
  await mightContain(set, gone, { now }), await mightContain(set, added, { now }),
  (await readRevocationStatus(status, { issuer, jti: added, now })).revoked, refused
]))`

const expected = [true, false, true, true, false, true, "SIGNATURE"]

const runScript = (runtime: string, ...args: ReadonlyArray<string>): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const child = execFile(bin(runtime), args, (error, stdout, stderr) =>
      error === null ? resolve(JSON.parse(stdout)) : reject(new Error(stderr, { cause: error }))
    )
    child.stdin?.end(script)
  })

describe("the client's modules", () => {
  it("read every document under Node", { timeout: 30_000 }, async () => {
    assert.deepEqual(await runScript("node", "--input-type=module", "-"), expected)
  })

  it("read every document under Deno, which is given no permission", { timeout: 30_000 }, async () => {
    assert.deepEqual(await runScript("deno", "run", "--no-config", "--no-prompt", "--quiet", "-"), expected)
  })

  it("know nothing but what browsers have", { timeout: 30_000 }, async () => {
    const options =
      "--noEmit --ignoreConfig --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --target es2024 " +
      "--lib es2024,dom --module esnext --moduleResolution bundler --allowImportingTsExtensions --pretty false"
    const paths = files.map((name) => fileURLToPath(new URL(name, folder)))
    const { stdout } = await run(bin("tsc"), [...options.split(" "), "--types", "", ...paths])
    assert.strictEqual(stdout, "")
  })

  it("import nothing but each other", () => {
    let imports = 0
    for (const name of files) {
      const text = readFileSync(new URL(name, folder), "utf8")
      assert.notInclude(text, "import(", name)
      for (const [, from = ""] of text.matchAll(/^(?:import|export|\}).* from "(.*)"$/gm)) {
        assert.include(files, from.replace(/^\.\//, ""), `${name} imports ${from}`)
        imports += 1
      }
    }
    assert.isAbove(imports, 20)
  })
})
