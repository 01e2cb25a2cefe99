import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const root = join(import.meta.dirname, "../../..")

interface Report {
  readonly diagnostics: ReadonlyArray<{ readonly code?: string; readonly filename: string }>
}

/** Those of the files, given as path and text, in which oxlint with the project's configuration finds a restricted use. */
export const restrictedUses = (samples: ReadonlyMap<string, string>): ReadonlySet<string> => {
  const folder = mkdtempSync(join(tmpdir(), "lint-"))
  try {
    cpSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"))
    for (const [file, text] of samples) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), `${text}\n`)
    }
    const lint = join(root, "node_modules/.bin/oxlint")
    const { stdout } = spawnSync(lint, ["--format", "json", "src"], { cwd: folder, encoding: "utf8" })
    const { diagnostics } = JSON.parse(stdout) as Report
    return new Set(
      diagnostics.filter(({ code }) => code?.includes("no-restricted-")).map(({ filename }) => filename)
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}
