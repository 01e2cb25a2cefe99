import { Effect, Schema } from "effect"
import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** A migration cannot be read, must not be applied, or failed; `message` is one line for the operator. */
export class MigrationError extends Schema.TaggedError<MigrationError>()("MigrationError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export interface Migration {
  readonly id: number
  /** File name, as in `0001_init.sql`. */
  readonly file: string
  /** Hex digest of the text; line ends do not count, so that a Windows checkout is the same migration. */
  readonly sha256: string
  readonly statements: ReadonlyArray<string>
}

/** `migrations/` of this checkout, whatever the working directory is. */
export const migrationsFolder = fileURLToPath(new URL("../../migrations", import.meta.url))

const hasSql = (piece: string) =>
  piece.split("\n").some((line) => line.trim() !== "" && !line.trimStart().startsWith("--"))

/** The statements of a file: the driver runs one per call, and only a marker line survives function bodies. */
export const splitStatements = (text: string): ReadonlyArray<string> =>
  text
    .split(/^-- statement$/m)
    .map((piece) => piece.trim())
    .filter(hasSql)

/** Reads one migration from its file name and text. */
export const parseMigration = (file: string, content: string): Migration | MigrationError => {
  const id = /^(\d{4})_[a-z0-9_]+\.sql$/.exec(file)?.[1]
  if (id === undefined)
    return new MigrationError({ message: `${file}: a migration is named like 0001_what_it_does.sql` })
  const text = content.replaceAll("\r\n", "\n")
  const statements = splitStatements(text)
  if (statements.length === 0) return new MigrationError({ message: `${file}: has no statement` })
  const control = statements.findIndex((statement) =>
    /^(begin|commit|rollback|start transaction|savepoint)\b/i.test(statement)
  )
  if (control >= 0)
    return new MigrationError({
      message: `${file}, statement ${control + 1}: migrations run in one transaction and must not control it; what cannot run in one belongs in migrations/manual/`
    })
  return { id: Number(id), file, sha256: createHash("sha256").update(text).digest("hex"), statements }
}

/** The migrations of a folder in the order of their ids. Folders in it, such as `manual/`, are not looked into. */
export const loadMigrations = Effect.fn("migrations.load")(function* (folder: string = migrationsFolder) {
  const unreadable = (cause: unknown) =>
    new MigrationError({ message: `cannot read the migrations in ${folder}`, cause })
  const entries = yield* Effect.tryPromise({
    try: () => readdir(folder, { withFileTypes: true }),
    catch: unreadable
  })
  const files = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".sql"))
    .map((entry) => entry.name)
  const migrations: Array<Migration> = []
  for (const file of files.sort()) {
    const text = yield* Effect.tryPromise({
      try: () => readFile(join(folder, file), "utf8"),
      catch: unreadable
    })
    const migration = parseMigration(file, text)
    if (migration instanceof MigrationError) return yield* migration
    const previous = migrations.at(-1)
    if (previous?.id === migration.id)
      return yield* new MigrationError({ message: `${previous.file} and ${file} have the same number` })
    migrations.push(migration)
  }
  return migrations
})
