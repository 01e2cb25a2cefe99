import { Config, Effect, Option, Redacted, Schema, SchemaIssue, SchemaTransformation } from "effect"

/**
 * Readers of single environment variables. An empty variable counts as unset; one that does not parse fails with
 * the variable's name and what was expected, never with its value (it may be a secret).
 */

/** A codec that accepts the texts for which `parse` gives a value; `expected` completes "Expected …". */
const text = <A>(expected: string, parse: (text: string) => A | undefined) =>
  Schema.String.pipe(
    Schema.decodeTo(
      Schema.Unknown as Schema.Codec<A>, // `parse` is the only producer, so nothing is left to check
      SchemaTransformation.transformEffect<A, string>({
        decode: (input) => {
          const value = parse(input.trim())
          return value === undefined
            ? Effect.fail(new SchemaIssue.InvalidValue({ expected }))
            : Effect.succeed(value)
        },
        encode: (value) => Effect.succeed(String(value))
      })
    )
  )

const variable = <A>(name: string, expected: string, parse: (text: string) => A | undefined) =>
  Config.schema(text(expected, parse), name)

/** Any text, trimmed. */
export const string = (name: string) => variable(name, "text", (input) => input)

/** A secret of any form. */
export const secret = (name: string) => variable(name, "text", (input) => Redacted.make(input))

/** `true`, `false`, `1` or `0`. */
export const boolean = (name: string) =>
  variable(name, "true, false, 1 or 0", (input) =>
    input === "true" || input === "1" ? true : input === "false" || input === "0" ? false : undefined
  )

/** A decimal integer in `min…max`. */
export const integer = (name: string, min: number, max = Number.MAX_SAFE_INTEGER) =>
  variable(name, `an integer from ${min} to ${max}`, (input) => {
    const value = /^-?\d{1,16}$/.test(input) ? Number(input) : Number.NaN
    return value >= min && value <= max ? value : undefined
  })

/** One of the given words. */
export const word = <const Words extends ReadonlyArray<string>>(name: string, words: Words) =>
  variable<Words[number]>(name, `one of ${words.join(", ")}`, (input) => words.find((each) => each === input))

/** Comma-separated entries, each trimmed, empty ones dropped. */
export const list = (name: string) =>
  variable(name, "comma-separated text", (input): ReadonlyArray<string> =>
    input
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "")
  )

/** 32 bytes as 64 hexadecimal digits. */
export const seedHex = (name: string) =>
  variable(name, "64 hexadecimal digits", (input) =>
    /^[0-9a-f]{64}$/i.test(input) ? Redacted.make(input.toLowerCase()) : undefined
  )

/** An http or https URL without credentials; the text is kept as written. */
export const httpUrl = (name: string) =>
  variable(name, "an http or https URL", (input) => {
    const url = URL.canParse(input) ? new URL(input) : undefined
    return url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === ""
      ? input
      : undefined
  })

/** A connection URL of one of the given schemes, kept secret because it may hold a password. */
export const connectionUrl = (name: string, schemes: ReadonlyArray<string>) =>
  variable(name, `a URL starting ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`, (input) =>
    URL.canParse(input) && schemes.includes(new URL(input).protocol.slice(0, -1))
      ? Redacted.make(input)
      : undefined
  )

/** One AES-256 key of the data encryption ring. */
export interface RingKey {
  /** Stored beside every ciphertext, so that a rotated ring still finds its key. */
  readonly id: string
  /** 32 bytes, base64. */
  readonly key: Redacted.Redacted<string>
}

/** `id:base64(32 bytes)` entries, comma-separated; the first encrypts, all decrypt. */
export const keyRing = (name: string) =>
  variable(name, "comma-separated id:base64 entries of 32 bytes each", (input) => {
    const keys: Array<RingKey> = []
    for (const entry of input.split(",")) {
      const match = /^([\w.-]{1,64}):([A-Za-z0-9+/]{43}=?)$/.exec(entry.trim())
      if (match?.[1] === undefined || match[2] === undefined) return undefined
      if (keys.some((known) => known.id === match[1])) return undefined
      keys.push({ id: match[1], key: Redacted.make(match[2]) })
    }
    return keys
  })

/** Delays in whole seconds, comma-separated, or the word `standard`. */
export const retrySchedule = (name: string) =>
  variable(
    name,
    "the word standard, or comma-separated seconds",
    (input): ReadonlyArray<number> | undefined => {
      if (input === "standard") return [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
      const delays = input
        .split(",")
        .map((entry) => (/^\s*\d{1,7}\s*$/.test(entry) ? Number(entry) : Number.NaN))
      return delays.every((delay) => Number.isInteger(delay)) ? delays : undefined
    }
  )

/** The variable, or `undefined` while it is unset. */
export const optional = <A>(config: Config.Config<A>) =>
  Config.map(Config.option(config), Option.getOrUndefined)
