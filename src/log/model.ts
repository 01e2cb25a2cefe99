/** Which history of the ledger a log is about. */
export interface Lineage {
  /** Epoch of the ledger, 8 hex digits. */
  readonly epoch: string
  /** Epoch when its tree was begun. */
  readonly firstEpoch: string
}

/** A tree: its leaves, and the root hash over them. */
export interface TreeHead {
  readonly size: number
  /** 32 bytes. */
  readonly root: Uint8Array
}

/** What is stored of the tree. */
export interface LogTree extends TreeHead {
  /** Lineage that the newest tree was signed in. */
  readonly lineage: Lineage
  /** Checkpoint of the newest tree, signed by the log alone; null before the first. */
  readonly note: string | null
  /** The checkpoint that is served; null before the first. */
  readonly published: PublishedCheckpoint | null
  /** Events up to this position were dropped by retention. */
  readonly droppedTo: number
}

/** The checkpoint that everyone is shown. */
export interface PublishedCheckpoint {
  readonly size: number
  readonly note: string
  /** Witnesses that have cosigned it. */
  readonly cosignatures: number
}
