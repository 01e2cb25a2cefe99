import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"

const root = new URL("../../vectors/", import.meta.url)

/** Names of what lies directly under `test/vectors` or one of its folders. */
export const vectorEntries = (folder = ""): ReadonlyArray<string> => readdirSync(new URL(folder, root)).sort()

/** A shared vector file; `path` is relative to `test/vectors`. */
export const readVector = <T>(path: string): T => JSON.parse(readFileSync(new URL(path, root), "utf8")) as T // the caller states the shape

const filesUnder = (folder: string): ReadonlyArray<string> =>
  readdirSync(new URL(folder, root), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.split(`/test/vectors/${folder}`)[1] ?? "")
    .map((path) => path.replace(/^\//, ""))
    .sort()

/** One test per file of a folder. A file without a check, or a check without a file, fails the suite. */
export const describeVectors = (folder: string, checks: Readonly<Record<string, (path: string) => void>>) => {
  describe(`vectors/${folder}`, () => {
    it("has a check for each file and a file for each check", () => {
      assert.deepStrictEqual(filesUnder(folder), Object.keys(checks).sort())
    })
    for (const [file, check] of Object.entries(checks)) it(file, () => check(folder + file))
  })
}

/** The seeds of the specification's reference keys, by id. */
export const referenceSeed = (id: string): Uint8Array => {
  const { vectors } = readVector<{ vectors: ReadonlyArray<{ id: string; seed_hex?: string }> }>(
    "known-answer/keypairs.json"
  )
  const seed = vectors.find((each) => each.id === id)?.seed_hex
  if (seed === undefined) throw new Error(`no seed for ${id}`)
  return Buffer.from(seed, "hex")
}
