/** A request of a Redis client and what follows it. */
export interface Request {
  readonly words: ReadonlyArray<string>
  readonly rest: string
}

const lineAt = (text: string, start: number): readonly [line: string, next: number] | undefined => {
  const end = text.indexOf("\r\n", start)
  return end === -1 ? undefined : [text.slice(start, end), end + 2]
}

/** The first request in a text of the Redis protocol, version 2, one character per byte; undefined until all is there. */
export const readRequest = (text: string): Request | undefined => {
  const head = lineAt(text, 0)
  if (head === undefined) return undefined
  const words: Array<string> = []
  let [count, at] = head
  if (!count.startsWith("*")) throw new Error(`not a request: ${count}`)
  for (let left = Number(count.slice(1)); left > 0; left -= 1) {
    const size = lineAt(text, at)
    if (size === undefined) return undefined
    const start = size[1]
    const end = start + Number(size[0].slice(1))
    if (text.length < end + 2) return undefined
    words.push(text.slice(start, end))
    at = end + 2
  }
  return { words, rest: text.slice(at) }
}

export const ok = "+OK\r\n"
export const nil = "$-1\r\n"
export const integer = (value: number): string => `:${value}\r\n`
export const error = (message: string): string => `-${message}\r\n`
