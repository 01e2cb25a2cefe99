import type { Frame } from "./frame.ts"
import { type Selection, selectionKey, selects } from "./selection.ts"

/** Readers that get the same events. */
export interface Group<M> {
  readonly key: string
  readonly selection: Selection
  readonly members: Set<M>
  readonly bucket: string
}

const EVERYTHING = "*"

/** Where a group is looked for: its most telling filter. */
const bucketOf = ({ aid, namespace, runId, sessionId, type, visibility }: Selection): string => {
  if (runId !== undefined) return `run ${runId}`
  if (sessionId !== undefined) return `session ${sessionId}`
  if (aid !== undefined) return `aid ${aid}`
  if (namespace !== undefined) return `namespace ${namespace}`
  if (type !== undefined) return `type ${type}`
  const [org, ...others] = visibility._tag === "orgs" ? visibility.orgIds : []
  return org !== undefined && others.length === 0 ? `org ${org}` : EVERYTHING
}

/** The buckets an event can have readers in. */
function* bucketsFor(frame: Frame): Generator<string> {
  yield EVERYTHING
  yield `type ${frame.type}`
  if (frame.runId !== null) yield `run ${frame.runId}`
  if (frame.sessionId !== null) yield `session ${frame.sessionId}`
  if (frame.aidA !== null) yield `aid ${frame.aidA}`
  if (frame.aidB !== null && frame.aidB !== frame.aidA) yield `aid ${frame.aidB}`
  if (frame.namespace !== null) yield `namespace ${frame.namespace}`
  for (const org of frame.orgIds) yield `org ${org}`
}

/** Finds the readers of an event by its own values, without looking at those it is not for. */
export class FilterIndex<M> {
  readonly #groups = new Map<string, Group<M>>()
  readonly #buckets = new Map<string, Set<Group<M>>>()

  get isEmpty(): boolean {
    return this.#groups.size === 0
  }

  add(selection: Selection, member: M): Group<M> {
    const key = selectionKey(selection)
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { key, selection, members: new Set(), bucket: bucketOf(selection) }
      this.#groups.set(key, group)
      const bucket = this.#buckets.get(group.bucket)
      if (bucket === undefined) this.#buckets.set(group.bucket, new Set([group]))
      else bucket.add(group)
    }
    group.members.add(member)
    return group
  }

  remove(group: Group<M>, member: M): void {
    group.members.delete(member)
    if (group.members.size > 0) return
    this.#groups.delete(group.key)
    const bucket = this.#buckets.get(group.bucket)
    bucket?.delete(group)
    if (bucket?.size === 0) this.#buckets.delete(group.bucket)
  }

  /** The frames of each group that gets any, in order. */
  distribute(frames: ReadonlyArray<Frame>): ReadonlyMap<Group<M>, ReadonlyArray<Frame>> {
    const shares = new Map<Group<M>, Array<Frame>>()
    if (this.isEmpty) return shares
    for (const frame of frames) {
      for (const bucket of bucketsFor(frame)) {
        for (const group of this.#buckets.get(bucket) ?? []) {
          if (!selects(group.selection, frame)) continue
          const share = shares.get(group)
          if (share === undefined) shares.set(group, [frame])
          else share.push(frame)
        }
      }
    }
    return shares
  }

  clear(): void {
    this.#groups.clear()
    this.#buckets.clear()
  }

  /** Every reader; not affected by those that come or go meanwhile. */
  members(): ReadonlyArray<M> {
    const members: Array<M> = []
    for (const group of this.#groups.values()) members.push(...group.members)
    return members
  }
}
