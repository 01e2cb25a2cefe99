/** Hostile bodies, paths and queries, the same in every run. */

/** mulberry32: small, seeded, good enough to vary inputs. */
export const seeded = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const deep = (open: string, close: string, levels: number, inner = "1") =>
  open.repeat(levels) + inner + close.repeat(levels)

/** Bodies that are no JSON, or not the JSON that any route wants; each with a name for the message of a failed test. */
export const hostileBodies = (
  sound: string
): ReadonlyArray<readonly [name: string, body: string | Buffer]> => [
  ["nothing", ""],
  ["white space", " \n\t "],
  ["a bare word", "undefined"],
  ["NaN", "NaN"],
  ["a comment", `/* */ ${sound}`],
  ["a trailing comma", '{"a":1,}'],
  ["single quotes", "{'a':1}"],
  ["two documents", `${sound}${sound}`],
  ["a byte order mark", Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(sound)])],
  ["UTF-16", Buffer.from(sound, "utf16le")],
  [
    "a stray continuation byte",
    Buffer.concat([Buffer.from('{"manifest":"'), Buffer.from([0x80, 0x22, 0x7d])])
  ],
  ["an overlong NUL", Buffer.concat([Buffer.from('{"manifest":"'), Buffer.from([0xc0, 0x80, 0x22, 0x7d])])],
  ["encoded surrogates", Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xed, 0xa0, 0x80, 0x22, 0x7d])])],
  [
    "beyond Unicode",
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xf5, 0x80, 0x80, 0x80, 0x22, 0x7d])])
  ],
  ["raw NUL bytes", Buffer.from('{"manifest":"\0"}')],
  ["only NUL bytes", Buffer.alloc(1000)],
  [
    "random bytes",
    Buffer.from(
      Array.from(
        { length: 2000 },
        (
          (next) => () =>
            Math.floor(next() * 256)
        )(seeded(7))
      )
    )
  ],
  ["a control character in a string", '{"a":"\u0001"}'],
  ["deep arrays", deep("[", "]", 30_000)],
  ["unclosed arrays", "[".repeat(60_000)],
  ["deep objects", deep('{"manifest":', "}", 4000)],
  ["deep manifest", `{"manifest":${deep('{"extensions":', "}", 4000)}}`],
  ["null", "null"],
  ["true", "true"],
  ["a number", "17"],
  ["a huge number", "1e400"],
  ["a number of a thousand digits", "9".repeat(1000)],
  ["a string", '"manifest"'],
  ["an empty object", "{}"],
  ["an empty array", "[]"],
  ["nested nothing", "[[[]]]"],
  ["a manifest of null", '{"manifest":null}'],
  ["a manifest that is an array", '{"manifest":[]}'],
  ["a manifest that is text", '{"manifest":"x"}'],
  ["an empty manifest", '{"manifest":{}}'],
  ["a manifest twice", '{"manifest":{},"manifest":{}}'],
  ["an escaped duplicate", '{"manifest":{"a":1,"\\u0061":2}}'],
  ["a prototype", '{"__proto__":{"manifest":{}},"constructor":{"prototype":{}}}'],
  ["a NUL in a name", '{"manifest":{"\\u0000":1}}'],
  ["a lone surrogate", '{"manifest":{"aid":"\\ud800"}}'],
  ["an infinite member", '{"manifest":{"aid":"x","expires_at":1e999,"published_at":-1e999}}'],
  ["numbers at the edge", '{"manifest":{"aid":"x","expires_at":9007199254740993,"published_at":-0.0}}'],
  ["oversized", `{"manifest":"${"x".repeat(300_000)}"}`],
  ["many members", `{${Array.from({ length: 9000 }, (_, i) => `"m${i}":0`).join(",")}}`],
  ["events that is text", '{"events":"x"}'],
  ["events that is an object", '{"events":{"0":{}}}']
]

/** Cuts, doublings, swaps and single-byte changes of a sound body. */
export const mutations = (sound: string, count: number, seed: number): ReadonlyArray<Buffer> => {
  const next = seeded(seed)
  const bytes = Buffer.from(sound)
  const at = () => Math.floor(next() * bytes.length)
  return Array.from({ length: count }, () => {
    const [a, b] = [at(), at()].toSorted((x, y) => x - y) as [number, number] // two numbers stay two
    switch (Math.floor(next() * 5)) {
      case 0:
        return bytes.subarray(0, a)
      case 1:
        return Buffer.concat([bytes.subarray(0, b), bytes.subarray(a)])
      case 2:
        return Buffer.concat([bytes.subarray(0, a), bytes.subarray(b)])
      case 3: {
        const changed = Buffer.from(bytes)
        changed[a] = Math.floor(next() * 256)
        return changed
      }
      default: {
        const changed = Buffer.from(bytes)
        for (let i = 0; i < 8; i += 1) changed[at()] = Math.floor(next() * 256)
        return changed
      }
    }
  })
}

/** Path segments where an id is expected. */
export const hostileIds: ReadonlyArray<string> = [
  "%00",
  "a%00b",
  "%",
  "%zz",
  "%c0%80",
  "%ed%a0%80",
  "%ff",
  "%252e%252e",
  "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
  "..%2f..",
  "%2F",
  "%5c",
  "'%3b%20drop%20table%20agents%3b--",
  "1%27%20or%20%271%27%3d%271",
  "%22%3e%3cscript%3e",
  "$1",
  "%24%7Bjndi%3Aldap%3A%2F%2Fx%7D",
  "0",
  "-1",
  "null",
  "undefined",
  "NaN",
  "__proto__",
  "constructor",
  "00000000-0000-0000-0000-000000000000",
  "ffffffff-ffff-ffff-ffff-ffffffffffff",
  "01234567-89ab-cdef-0123-456789abcdef",
  "01234567-89ab-4def-8123-456789abcdef%0a",
  "aid:pubkey:",
  `aid:pubkey:${"A".repeat(43)}`,
  `aid:pubkey:p256:${"A".repeat(44)}`,
  `aid:pubkey:ed25519:${"_".repeat(43)}`,
  "%F0%9F%92%A9",
  "%E2%80%AE",
  "a;b",
  "a+b",
  "a%20b",
  "x".repeat(8000)
]

/** Values where a query parameter is expected. */
export const hostileValues: ReadonlyArray<string> = [
  "",
  "%00",
  "a%00",
  "%",
  "%zz",
  "%ff",
  "%ed%a0%80",
  "%C3%28",
  "-1",
  "0",
  "1e999",
  "-1e999",
  "1e309",
  "9223372036854775808",
  "-9223372036854775809",
  "2147483648",
  "0x10",
  "1.9",
  "Infinity",
  "NaN",
  "null",
  "[]",
  "{}",
  "%5B%22a%22%5D",
  "'",
  "%27%20or%201=1--",
  "%22",
  "\\",
  "%25",
  "_%25",
  "$1",
  "a,b",
  "-271821-04-20",
  "-000001-01-01T00:00:00Z",
  "%2B275760-09-13",
  "9999-12-31T23:59:59.999Z",
  "0000-01-01",
  "2024-02-30",
  "1",
  "99999999999999999999",
  "true",
  "%F0%9F%92%A9",
  "eyJhIjoxfQ",
  "WyJ4IiwxXQ",
  "x".repeat(3000)
]
