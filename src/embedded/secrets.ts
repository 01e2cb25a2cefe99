import type { Effect } from "effect"
import { join } from "node:path"
import { makePrivateFolder, readIfPresent, writeDurably } from "./durableFile.ts"
import { attempt, type EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

/** Secrets of a development installation, one file of mode 0600 each, kept beside its data. */
export interface SecretFiles {
  /** The secret of that name (letters, digits, `-`); made by `generate` and stored when there is none yet. */
  readonly getOrCreate: (name: string, generate: () => string) => Effect.Effect<string, EmbeddedPostgresError>
}

export const secretFiles = (home: string): SecretFiles => ({
  getOrCreate: (name, generate) =>
    attempt(`keep the secret ${name} in ${home}`, () => {
      const folder = join(home, "secrets")
      makePrivateFolder(folder)
      const path = join(folder, name)
      const known = readIfPresent(path)
      if (known !== undefined && known !== "") return known
      const made = generate()
      writeDurably(path, `${made}\n`)
      return made
    })
})
