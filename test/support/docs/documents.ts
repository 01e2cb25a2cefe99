import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** Folder of the project. */
export const root = fileURLToPath(new URL("../../..", import.meta.url))

export const fileText = (path: string): string => readFileSync(`${root}/${path}`, "utf8")

/** A page for people, by its path in the project. */
export interface Document {
  readonly path: string
  readonly text: string
}

const paths = [
  "README.md",
  "SECURITY.md",
  ...readdirSync(`${root}/docs`)
    .filter((name) => name.endsWith(".md"))
    .toSorted()
    .map((name) => `docs/${name}`)
]

/** Every page that readers are sent to. */
export const documents: ReadonlyArray<Document> = paths.map((path) => ({ path, text: fileText(path) }))

export const documentAt = (path: string): Document => {
  const found = documents.find((document) => document.path === path)
  if (found === undefined) throw new Error(`no document ${path}`)
  return found
}

/** Every variable that the configuration reads. */
export const variables: ReadonlySet<string> = new Set(
  [...fileText("src/config.ts").matchAll(/\bEnv\.\w+\(\s*"([A-Z][A-Z0-9_]*)"/g)].map(([, name]) => name ?? "")
)
