/** Positions in the ledger as clients name them (contract §6.5): `<epoch>.<seq>`, bare `<seq>`, or a word. */

/** What a client asked to continue after. */
export type Asked =
  | { readonly _tag: "nothing" | "earliest" | "latest" | "malformed" }
  /** Without an epoch: the present one. */
  | { readonly _tag: "after"; readonly epoch: string | undefined; readonly seq: number }

/** What a reader can have: a lineage, its newest position, and the first one still kept. */
export interface Extent {
  /** Lineage of positions, 8 hex digits. */
  readonly epoch: string
  /** Newest position; 0 while the ledger is empty. */
  readonly head: number
  /** First position retained; `head + 1` when none is. */
  readonly oldest: number
}

/** Why a position cannot be continued from. */
export type Refusal = "expired" | "unknown_epoch" | "malformed"

export type Start =
  | { readonly _tag: "after"; readonly seq: number }
  /** Beyond the newest position known here: another replica may be ahead of this one. */
  | { readonly _tag: "ahead"; readonly seq: number }
  | { readonly _tag: "refused"; readonly reason: Refusal }

const POSITION = /^(?:([0-9a-f]{8})\.)?(0|[1-9]\d{0,15})$/

export const formatPosition = (epoch: string, seq: number): string => `${epoch}.${seq}`

/** Reads a position; an empty one counts as none. */
export const parsePosition = (text: string | undefined): Asked => {
  if (text === undefined || text === "") return { _tag: "nothing" }
  if (text === "earliest" || text === "latest") return { _tag: text }
  const [, epoch, digits] = POSITION.exec(text) ?? []
  const seq = Number(digits)
  return Number.isSafeInteger(seq) ? { _tag: "after", epoch, seq } : { _tag: "malformed" }
}

/** Where reading begins; `whenNothing` finds the place for clients that name none. */
export const startOf = (asked: Asked, { epoch, head, oldest }: Extent, whenNothing: () => number): Start => {
  switch (asked._tag) {
    case "nothing":
      return { _tag: "after", seq: whenNothing() }
    case "earliest":
      return { _tag: "after", seq: oldest - 1 }
    case "latest":
      return { _tag: "after", seq: head }
    case "malformed":
      return { _tag: "refused", reason: "malformed" }
    case "after":
      if (asked.epoch !== undefined && asked.epoch !== epoch)
        return { _tag: "refused", reason: "unknown_epoch" }
      if (asked.seq < oldest - 1) return { _tag: "refused", reason: "expired" }
      return { _tag: asked.seq > head ? "ahead" : "after", seq: asked.seq }
  }
}
