import { Effect, Layer } from "effect"
import { BackgroundDb } from "../db/Db.ts"
import { everyInterval } from "../jobs/loop.ts"
import { LOG_ID } from "./seal.ts"

/** Positions for which there is always room ahead: half a partition. */
const AHEAD = 2_500_000
const CHECK_EVERY_MS = 60_000

/**
 * Makes the ledger's next partition while the current one is half full, so that no append has to. (One that outruns
 * this makes it itself.)
 */
export const EventPartitions = {
  layerLoop: Layer.effectDiscard(
    Effect.gen(function* () {
      const { sql } = yield* BackgroundDb
      const runOnce = sql`
        select ensure_event_partitions_v1(h.log_id, h.seq + ${AHEAD}::bigint)
        from (select log_id, seq from log_head
              where log_id = ${LOG_ID} and partitioned_to < seq + ${AHEAD}::bigint for update) as h`
      yield* everyInterval("event partitions", CHECK_EVERY_MS, runOnce)
    })
  )
}
