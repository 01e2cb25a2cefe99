import { renderFrameEvent } from "../events/render.ts"
import { canonicalType } from "../events/types.ts"
import type { LedgerRow } from "./LedgerPages.ts"
import { formatPosition } from "./position.ts"
import type { Routing } from "./selection.ts"

/** The bytes of the event stream (contract §6.5). LF line ends, one `data:` line, events unnamed. */

/** An event as it is sent, made once and shared by all its readers. */
export interface Frame extends Routing {
  readonly seq: number
  readonly bytes: Buffer
}

/** Consecutive frames of one reader in one buffer. */
export interface Batch {
  readonly bytes: Buffer
  readonly frames: number
  /** Position before the first frame: nothing the reader gets lies between it and that frame. */
  readonly after: number
  /** Position of the last frame. */
  readonly last: number
}

/** Why a stream does not continue as it was; the order is that of the metric. */
export const RESET_REASONS = ["expired", "unknown_epoch", "malformed", "slow_consumer", "shutdown"] as const
export type ResetReason = (typeof RESET_REASONS)[number]

/** Largest batch in bytes, single frames aside: what one socket takes at once, and what one slow reader holds up. */
const MAX_BATCH_BYTES = 65_536

/** Outside strings JSON may contain line ends, which would end the `data:` line. */
const oneLine = (json: string): string => (/[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, " ") : json)

export const frameOf = (epoch: string, row: LedgerRow): Frame => ({
  seq: row.seq,
  bytes: Buffer.from(`id: ${formatPosition(epoch, row.seq)}\ndata: ${oneLine(renderFrameEvent(row))}\n\n`),
  type: canonicalType(row.type),
  ts: row.ts.getTime(),
  aidA: row.aidA,
  aidB: row.aidB,
  sessionId: row.sessionId,
  runId: row.runId,
  namespace: row.namespace,
  source: row.source,
  orgIds: row.orgIds
})

/** Joins frames, which are in order, into as few buffers as their size allows. */
export const batchesOf = (frames: ReadonlyArray<Frame>): ReadonlyArray<Batch> => {
  const batches: Array<Batch> = []
  let begin = 0
  let size = 0
  for (const [index, frame] of frames.entries()) {
    size += frame.bytes.length
    const next = frames[index + 1]
    if (next !== undefined && size + next.bytes.length <= MAX_BATCH_BYTES) continue
    const joined = frames.slice(begin, index + 1)
    batches.push({
      bytes:
        joined.length === 1
          ? frame.bytes
          : Buffer.concat(
              joined.map(({ bytes }) => bytes),
              size
            ),
      frames: joined.length,
      after: (joined[0] ?? frame).seq - 1,
      last: frame.seq
    })
    begin = index + 1
    size = 0
  }
  return batches
}

/** Sent at once, so that clients and proxies see the stream begin. @param retryMs reconnection time */
export const opening = (retryMs: number): Buffer => Buffer.from(`retry: ${retryMs}\n: connected\n\n`)

export const HEARTBEAT = Buffer.from(": heartbeat\n\n")

/** How far a reader has been served although nothing was for it; a reconnect from there costs little. */
export const checkpoint = (position: string): Buffer =>
  Buffer.from(`id: ${position}\nevent: checkpoint\ndata: {"position":"${position}"}\n\n`)

/**
 * The reader continues from `position`, here or after reconnecting. The `id:` makes clients remember it: otherwise a
 * reconnect before the next event would repeat the position that was just refused.
 */
export const reset = (reason: ResetReason, position: string, retryMs?: number): Buffer =>
  Buffer.from(
    (retryMs === undefined ? "" : `retry: ${retryMs}\n`) +
      `id: ${position}\nevent: reset\ndata: {"reason":"${reason}","position":"${position}"}\n\n`
  )
