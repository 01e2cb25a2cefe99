import { Context, Effect, Layer } from "effect"
import { Db } from "../db/Db.ts"

/** Longest time in ms that a version counts as the present one without being read again. */
const MEMO_MS = 250

/** Version of the agents' rows: what was read under one version holds as long as that is the present one. */
export class RegistryVersion extends Context.Service<
  RegistryVersion,
  {
    /** The present version, as far as this replica knew within the last 250 ms; undefined when it must be read. */
    readonly known: () => string | undefined
    /** The present version, read unless it is known. To be asked before the rows that are kept under it. */
    readonly current: Effect.Effect<string>
    /** This replica has changed an agent: what it knew is forgotten. */
    readonly changed: Effect.Effect<void>
  }
>()("cp/registry/RegistryVersion") {
  static readonly layer = Layer.effect(
    RegistryVersion,
    Effect.gen(function* () {
      const { sql } = yield* Db
      let memo: { readonly version: string; readonly readAt: number } | undefined
      let changes = 0

      const known = () =>
        memo !== undefined && performance.now() - memo.readAt < MEMO_MS ? memo.version : undefined

      const read = Effect.gen(function* () {
        const [readAt, before] = [performance.now(), changes]
        const [row] = yield* sql<{ readonly version: string }>`
          select version::text as version from registry_version`
        if (row === undefined) return yield* Effect.die(new Error("registry_version has no row"))
        if (changes === before) memo = { version: row.version, readAt }
        return row.version
      }).pipe(Effect.withSpan("RegistryVersion.read"), Effect.orDie)

      const current = Effect.suspend(() => {
        const version = known()
        return version === undefined ? read : Effect.succeed(version)
      })

      const changed = Effect.sync(() => {
        changes += 1
        memo = undefined
      })

      return { changed, current, known }
    })
  )
}
