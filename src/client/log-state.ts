import { decodeBase64, encodeBase64, equalBytes } from "./log-base64.ts"
import { type Checkpoint, formatTreeHead, parseTreeHead, type TreeHead } from "./log-checkpoint.ts"
import { TreeRange } from "./log-range.ts"
import { LogRefused } from "./log-refusal.ts"

/** A tree that was verified, and all that is needed to verify that a later one extends it. */
export interface LogState {
  readonly head: TreeHead
  readonly range: TreeRange
}

const damaged = () => new LogRefused("MALFORMED", "the remembered state is damaged")

/** The state as text, to be kept until the log is followed again. */
export const writeState = ({ head, range }: LogState): string =>
  JSON.stringify({ treeHead: formatTreeHead(head), subtrees: range.roots.map(encodeBase64) })

/** Reads what `writeState` wrote. Throws `MALFORMED`. */
export const readState = async (text: string): Promise<LogState> => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged()
  }
  const { subtrees, treeHead } = (value ?? {}) as { readonly treeHead?: unknown; readonly subtrees?: unknown } // both are checked next
  if (typeof treeHead !== "string" || !Array.isArray(subtrees)) throw damaged()
  const head = parseTreeHead(treeHead)
  const roots = subtrees.map((hash: unknown) => {
    const bytes = typeof hash === "string" ? decodeBase64(hash) : undefined
    if (bytes?.length !== 32) throw damaged()
    return bytes
  })
  const range = TreeRange.of(head.size, roots)
  if (range === undefined || !equalBytes(await range.root(), head.root)) throw damaged()
  return { head, range }
}

/** The state after a checkpoint whose tree this is. */
export const stateOf = ({ origin, root, size }: Checkpoint, range: TreeRange): LogState => ({
  head: { origin, size, root },
  range
})
