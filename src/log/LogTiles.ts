import { Context, Effect, Layer } from "effect"
import { textArray } from "../db/arrays.ts"
import { Db } from "../db/Db.ts"
import { LOG_ID } from "../events/seal.ts"
import type { FindTile, StoredTile } from "./TreeEdge.ts"

/** Store of the tree's hashes. Tiles only ever grow at their end, so what was read stays true. */
export class LogTiles extends Context.Service<
  LogTiles,
  {
    /** The hashes that these tiles have by now; those that do not exist are missing. */
    readonly read: (tiles: ReadonlyArray<Pick<StoredTile, "level" | "index">>) => Effect.Effect<FindTile>
  }
>()("cp/log/LogTiles") {
  static readonly layer = Layer.effect(
    LogTiles,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const read = Effect.fn("LogTiles.read")(function* (
        tiles: ReadonlyArray<Pick<StoredTile, "level" | "index">>
      ) {
        if (tiles.length === 0) return () => undefined
        const rows = yield* sql<{ readonly place: number; readonly hashes: Uint8Array }>`
          select p.place::int as place, t.hashes
          from unnest(
              ${textArray(tiles.map(({ level }) => String(level)))}::smallint[],
              ${textArray(tiles.map(({ index }) => String(index)))}::bigint[])
            with ordinality as p (level, index, place)
          cross join lateral (
            select t.hashes from log_tiles t
            where t.log_id = ${LOG_ID} and t.level = p.level and t.index = p.index
            offset 0) as t`
        const found = new Map(
          rows.map(({ hashes, place }) => {
            const tile = tiles[place - 1]
            return [`${tile?.level}/${tile?.index}`, hashes]
          })
        )
        return (level: number, index: number) => found.get(`${level}/${index}`)
      }, Effect.orDie)
      return { read }
    })
  )
}
