/** An event as the stream shows it, as far as it is checked. */
interface Shown {
  readonly id: string
  readonly seq: number
}

/** The events in some complete text of a stream, in its order; comments and other messages are left out. */
export const eventsIn = (text: string): ReadonlyArray<Shown> =>
  [...text.matchAll(/^data: (\{"id":.*)$/gm)].map(([, data = ""]) => JSON.parse(data) as Shown)

/** Cuts a stream into complete messages. */
export class MessageCutter {
  #rest = ""

  /** The messages that this chunk completes. */
  take(chunk: string): string {
    const text = this.#rest + chunk
    const end = text.lastIndexOf("\n\n") + 2
    this.#rest = end === 1 ? text : text.slice(end)
    return end === 1 ? "" : text.slice(0, end)
  }
}

/** What one subscriber has got, held against what was sent and what the others have got. */
export class Delivered {
  readonly #places: Map<number, string> | undefined
  readonly #cutter = new MessageCutter()
  #last = 0
  #count = 0
  #fault: string | undefined

  /** @param places position and id of every event, shared by all subscribers; without it positions mean nothing */
  constructor(places?: Map<number, string>) {
    this.#places = places
  }

  /** Events; a position that does not grow is a fault, so none is counted twice. */
  get count(): number {
    return this.#count
  }

  get fault(): string | undefined {
    return this.#fault
  }

  /** Ids of the events that this chunk completes. */
  take(chunk: string): ReadonlyArray<string> {
    return eventsIn(this.#cutter.take(chunk)).map(({ id, seq }) => {
      this.#count += 1
      if (this.#places !== undefined) this.#check(this.#places, seq, id)
      return id
    })
  }

  #check(places: Map<number, string>, seq: number, id: string): void {
    if (seq <= this.#last) this.#fault ??= `position ${seq} after ${this.#last}`
    this.#last = seq
    const known = places.get(seq)
    if (known === undefined) places.set(seq, id)
    else if (known !== id) this.#fault ??= `position ${seq} has ${known} and ${id}`
  }
}
