/** Changes of inputs that parsers stumble over. All randomness comes from `next`, so a seed repeats a run. */

type Next = () => number

const below = (next: Next, limit: number): number => Math.floor(next() * limit)

const pick = <A>(next: Next, items: ReadonlyArray<A>): A => items[below(next, items.length)]! // never an empty list

const LONGEST = 4096

/** What breaks readers of text, whatever its grammar. */
const interesting = [
  "",
  "\0",
  "\u0001",
  "\t",
  "\n",
  "\r\n",
  " ",
  '"',
  "\\",
  "/",
  ".",
  "..",
  ":",
  ",",
  "=",
  "==",
  "-",
  "_",
  "+",
  "%",
  "%00",
  "0",
  "1",
  "-0",
  "1e400",
  "9007199254740993",
  "{",
  "}",
  "[",
  "]",
  "null",
  "true",
  '""',
  "\\u0000",
  "\\ud800",
  "__proto__",
  "constructor",
  "toJSON",
  "\ufeff",
  "\xff",
  "\xc0\x80",
  "\ud800",
  "\udc00",
  "\u2028",
  "\u0130",
  "\u212a",
  "e\u0301"
]

const characters = 'abcXYZ019-_.:/=+%"\\{}[],\0\n \x7f\x80\xff\u20ac\ud83d'

const cut = (text: string, next: Next): readonly [string, string, string] => {
  const from = below(next, text.length + 1)
  // short pieces break grammar, long ones structure
  const length = next() < 0.7 ? below(next, 5) : below(next, text.length - from + 1)
  return [text.slice(0, from), text.slice(from, from + length), text.slice(from + length)]
}

const changeOne = (
  text: string,
  next: Next,
  corpus: ReadonlyArray<string>,
  words: ReadonlyArray<string>
): string => {
  const [before, piece, after] = cut(text, next)
  switch (below(next, 11)) {
    case 0:
      return before + after
    case 1:
      return before + pick(next, interesting) + piece + after
    case 2:
      return before + pick(next, interesting) + after
    case 3:
      return before + pick(next, words) + piece + after
    case 4:
      return before + pick(next, words) + after
    case 5:
      return before + characters[below(next, characters.length)] + piece.slice(1) + after
    case 6:
      return (
        before +
        String.fromCharCode((piece.charCodeAt(0) || 0) ^ (1 << below(next, 8))) +
        piece.slice(1) +
        after
      )
    case 7:
      return before + piece.repeat(1 + below(next, 8)) + after
    case 8:
      return before + (next() < 0.5 ? piece.toUpperCase() : piece.toLowerCase()) + after
    case 9: {
      const [, foreign] = cut(pick(next, corpus), next)
      return before + foreign + after
    }
    default: {
      const [head] = cut(text, next)
      const [, , tail] = cut(pick(next, corpus), next)
      return head + tail
    }
  }
}

/** An input made of one of the corpus by one to five changes, at most 4,096 characters long. */
export const mutate = (
  next: Next,
  corpus: ReadonlyArray<string>,
  dictionary: ReadonlyArray<string>
): string => {
  const words = dictionary.length === 0 ? interesting : dictionary
  let text = pick(next, corpus)
  for (let changes = 1 + below(next, 5); changes > 0; changes -= 1) {
    text = changeOne(text, next, corpus, words)
  }
  return text.slice(0, LONGEST)
}
