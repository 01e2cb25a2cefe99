// JSON.parse for texts of strangers. V8 (Node 24 and 26, Deno 2.9) reads a member name that is written with an escape
// wrongly when some object parsed before had, in the same place, a name that looks like the unread escape: after
// `{"q":1,"a\\":1}` the name in `{"q":1,"a\"":1}` is read as `a\` (nodejs/node#63785). Whoever may send JSON could so
// change what the service reads in the JSON of others. Texts without escaped names, nearly all, are not concerned.

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a

/** Index of the quote that closes the string opened at `open`. The text is valid JSON, so there is one. */
export const closingQuote = (text: string, open: number): number => {
  for (let at = text.indexOf('"', open + 1); ; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return at
  }
}

/** Where the names of a valid JSON text begin and end, in order; a colon outside a string follows exactly one. */
const placesOfNames = (text: string): ReadonlyArray<readonly [start: number, end: number]> => {
  const places: Array<readonly [number, number]> = []
  let [start, end] = [0, 0]
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === colon) places.push([start, end])
    if (unit !== quote) continue
    start = i
    end = closingQuote(text, i) + 1
    i = end - 1
  }
  return places
}

/** Deeper values are refused by every reader of this service, and must not exhaust the stack before. */
const MAX_DEPTH = 512

const withNames = (value: unknown, names: ReadonlyArray<string>, depth: number): unknown => {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return value
  if (Array.isArray(value)) return value.map((item) => withNames(item, names, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([number, member]) => [
      names[Number(number.slice(1))],
      withNames(member, names, depth + 1)
    ])
  )
}

/** The value with all names read one by one, as texts of their own, which V8 reads well. */
const reread = (text: string, places: ReadonlyArray<readonly [number, number]>): unknown => {
  let numbered = ""
  let done = 0
  for (const [index, [start, end]] of places.entries()) {
    numbered += `${text.slice(done, start)}"#${index}"`
    done = end
  }
  const names = places.map(([start, end]): string => JSON.parse(text.slice(start, end)))
  return withNames(JSON.parse(numbered + text.slice(done)), names, 0)
}

/** What `JSON.parse` promises: throws a SyntaxError for what is no JSON; of a repeated name the last member counts. */
export const parseJson = (text: string): unknown => {
  const value: unknown = JSON.parse(text)
  if (!text.includes("\\")) return value
  const places = placesOfNames(text)
  const isEscaped = places.some(([start, end]) => text.slice(start, end).includes("\\"))
  return isEscaped ? reread(text, places) : value
}
