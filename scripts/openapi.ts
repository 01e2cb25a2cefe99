import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { Api } from "../src/api.ts"
import { describe } from "../src/ops/openapi.ts"

/**
 * The OpenAPI document of this checkout against the committed one: `node scripts/openapi.ts` compares and exits 1 when
 * they differ, `node scripts/openapi.ts --write` brings the committed one up to date.
 */

const path = new URL("../test/contract/openapi.json", import.meta.url).pathname

/** The version changes with each release and says nothing about the interface. */
const { info, ...document } = describe(Api)
const text = `${JSON.stringify({ ...document, info: { ...(info as object), version: "0.0.0" } }, null, 2)}\n`

const committed = (): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

if (process.argv.includes("--write")) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
} else if (committed() !== text) {
  process.stderr.write(
    "test/contract/openapi.json differs from the code; run node scripts/openapi.ts --write\n"
  )
  process.exitCode = 1
}
