import {
  type Batch,
  batchesOf,
  checkpoint,
  HEARTBEAT,
  opening,
  reset,
  type ResetReason,
  type Frame
} from "./frame.ts"
import { formatPosition, type Refusal } from "./position.ts"
import { type Selection, selects } from "./selection.ts"
import type { Attachment, Follower, Tail } from "./Tail.ts"

/** Bytes a reader may have waiting in memory; with more it reads the ledger itself. Shared frames count in full. */
const MAX_WAITING_BYTES = 1_048_576
/** Positions a reader that was up to date may fall behind. */
const MAX_LAG = 50_000
/** A reader that nothing is for is told how far it is after so many positions, or so long. */
const CHECKPOINT_POSITIONS = 1000
const CHECKPOINT_MS = 15_000
/** Frames taken from memory at once. */
const MEMORY_PAGE = 500

/** The socket, as far as a stream needs it. */
export interface Outlet {
  /** False: wait for `drained` before the next write. */
  readonly write: (bytes: Buffer) => boolean
  /** Calls `stalled` of the stream when the client takes no byte for long; only while waiting. */
  readonly watch: (waiting: boolean) => void
  /** Ends the answer after what was written. */
  readonly end: () => void
}

/** Selected events after `after`, and the position up to which that is all there is. */
export interface Page {
  readonly frames: ReadonlyArray<Frame>
  readonly upTo: number
}

/** What all streams of the process share. */
export interface Surroundings {
  readonly tail: Tail
  /** Reads the ledger; calls back with undefined when that failed and should be tried again. The result cancels. */
  readonly read: (selection: Selection, after: number, done: (page: Page | undefined) => void) => () => void
  readonly counts: {
    readonly reset: (reason: ResetReason) => void
    readonly dropped: (frames: number) => void
  }
  readonly now: () => number
}

/**
 * One open event stream. It is `live` at the end of the ledger and gets shared batches as they come. Otherwise it reads
 * for itself, from memory if it can, until it gets to the end: after opening (`replaying`), and after its client has
 * let too much pile up (`behind`). Nothing is written while the socket has not drained.
 */
export class EventStream implements Follower {
  readonly #around: Surroundings
  readonly #outlet: Outlet
  readonly #selection: Selection
  #state: "replaying" | "live" | "behind" | "ended" = "replaying"
  #epoch: string
  /** All that is selected up to here was written or is waiting; while live that is the end of the ledger. */
  #position: number
  /** Last id written or waiting. */
  #told: number
  #toldAt: number
  #blocked = false
  #waiting: Array<Batch> = []
  #waitingBytes = 0
  #attachment: Attachment | undefined
  #cancelRead: (() => void) | undefined

  /** @param after position the client has */
  constructor(around: Surroundings, outlet: Outlet, selection: Selection, after: number) {
    this.#around = around
    this.#outlet = outlet
    this.#selection = selection
    this.#epoch = around.tail.extent.epoch
    this.#position = after
    this.#told = after
    this.#toldAt = around.now()
  }

  /** @param retryMs reconnection time for the client */
  open(retryMs: number): void {
    this.#write(opening(retryMs))
  }

  /** Begins to send what the client does not have. */
  start(): void {
    this.#pump()
  }

  /** Tells why the position asked for cannot be had, and goes on from now. */
  refuse(reason: Refusal): void {
    if (this.#state === "ended") return
    const { epoch, head } = this.#around.tail.extent
    this.#epoch = epoch
    this.#around.counts.reset(reason)
    this.#position = head
    this.#write(reset(reason, this.#around.tail.position(head)))
    this.#tell(head)
    this.#pump()
  }

  offer(batch: Batch): void {
    if (this.#state !== "live") return
    if (this.#take(batch)) return
    this.#around.counts.dropped(batch.frames)
    this.#detach()
    this.#state = "behind"
    this.#position = batch.after
  }

  restarted(): void {
    if (this.#state === "ended") return
    this.#detach()
    this.#drop()
    this.#cancelRead?.()
    this.#cancelRead = undefined
    this.#state = "replaying"
    this.refuse("unknown_epoch")
  }

  /** The socket takes bytes again. */
  drained(): void {
    if (this.#state === "ended" || !this.#blocked) return
    this.#block(false)
    while (!this.#blocked) {
      const batch = this.#waiting.shift()
      if (batch === undefined) break
      this.#waitingBytes -= batch.bytes.length
      this.#write(batch.bytes)
    }
    if (!this.#blocked) this.#pump()
  }

  /** The client has taken no byte for as long as it may. */
  stalled(): void {
    if (this.#state !== "ended" && this.#blocked) this.close("slow_consumer")
  }

  heartbeat(): void {
    if (this.#state !== "ended" && !this.#blocked) this.#write(HEARTBEAT)
  }

  /** To be called a few times a second: notices what no event brings up. */
  attend(now: number): void {
    const { head } = this.#around.tail.extent
    if (this.#state === "behind" && head - this.#position > MAX_LAG) return this.close("slow_consumer")
    if (this.#state !== "live" || this.#blocked) return
    const unsaid = head - this.#told
    if (unsaid >= CHECKPOINT_POSITIONS || (unsaid > 0 && now - this.#toldAt >= CHECKPOINT_MS))
      this.#checkpoint(head)
  }

  /** Ends the stream; without a reason it was simply long enough. @param retryMs when to come back */
  close(reason: "slow_consumer" | "shutdown" | undefined, retryMs?: number): void {
    if (this.#state === "ended") return
    const [dropped] = this.#waiting
    const position =
      dropped?.after ?? (this.#state === "live" ? this.#around.tail.extent.head : this.#position)
    this.gone()
    if (reason !== undefined) {
      this.#around.counts.reset(reason)
      this.#outlet.write(reset(reason, formatPosition(this.#epoch, position), retryMs))
    }
    this.#outlet.end()
  }

  /** The client has left, or the stream was closed; again has no effect. */
  gone(): void {
    this.#detach()
    this.#drop()
    this.#cancelRead?.()
    this.#cancelRead = undefined
    this.#state = "ended"
  }

  /** Reads on until the end of the ledger, a full socket, or a page that has to come from the database. */
  #pump(): void {
    const { tail } = this.#around
    while (!this.#blocked && this.#cancelRead === undefined) {
      if (this.#state !== "replaying" && this.#state !== "behind") return
      if (this.#epoch !== tail.extent.epoch) return this.refuse("unknown_epoch")
      const { head, oldest } = tail.extent
      if (this.#position === head) {
        this.#state = "live"
        this.#attachment = tail.attach(this.#selection, this)
        return
      }
      if (this.#position < oldest - 1) return this.refuse("expired")
      const frames = tail.framesAfter(this.#position, MEMORY_PAGE)
      if (frames === undefined) {
        this.#fetch()
        return
      }
      this.#send({
        frames: frames.filter((frame) => selects(this.#selection, frame)),
        upTo: frames.at(-1)?.seq ?? head
      })
    }
  }

  #fetch(): void {
    const wasBehind = this.#state === "behind"
    let answered = false
    const cancel = this.#around.read(this.#selection, this.#position, (page) => {
      answered = true
      this.#cancelRead = undefined
      if (page !== undefined) {
        if (wasBehind) this.#around.counts.dropped(page.frames.length)
        this.#send(page)
      }
      this.#pump()
    })
    if (!answered) this.#cancelRead = cancel
  }

  /** What no longer finds room is read again later. */
  #send({ frames, upTo }: Page): void {
    for (const batch of batchesOf(frames)) {
      if (!this.#take(batch)) return
      this.#position = batch.last
    }
    this.#position = upTo
    if (upTo - this.#told >= CHECKPOINT_POSITIONS && !this.#blocked) this.#checkpoint(upTo)
  }

  /** Writes the batch, or keeps it while the socket is full; false when too much is waiting already. */
  #take(batch: Batch): boolean {
    if (!this.#blocked) this.#write(batch.bytes)
    else if (this.#waitingBytes + batch.bytes.length > MAX_WAITING_BYTES) return false
    else {
      this.#waiting.push(batch)
      this.#waitingBytes += batch.bytes.length
    }
    this.#tell(batch.last)
    return true
  }

  #checkpoint(seq: number): void {
    this.#write(checkpoint(formatPosition(this.#epoch, seq)))
    this.#tell(seq)
  }

  #tell(seq: number): void {
    this.#told = seq
    this.#toldAt = this.#around.now()
  }

  #write(bytes: Buffer): void {
    if (!this.#outlet.write(bytes)) this.#block(true)
  }

  #block(blocked: boolean): void {
    if (blocked !== this.#blocked) this.#outlet.watch(blocked)
    this.#blocked = blocked
  }

  #detach(): void {
    if (this.#attachment !== undefined) this.#around.tail.detach(this.#attachment, this)
    this.#attachment = undefined
  }

  #drop(): void {
    this.#waiting = []
    this.#waitingBytes = 0
  }
}
