import { hash } from "node:crypto"
import { Config, Effect, Option, Redacted, Result, Schema, SchemaIssue, SchemaTransformation } from "effect"
import * as Host from "effect/net/Host"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"

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

const entriesOf = (input: string): ReadonlyArray<string> =>
  input
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")

/** Comma-separated entries, each trimmed, empty ones dropped. */
export const list = (name: string) => variable(name, "comma-separated text", entriesOf)

/** Comma-separated networks such as `10.0.0.0/8` or `fd00::/8`, without host bits. */
export const networks = (name: string) =>
  variable(
    name,
    "comma-separated networks in CIDR notation without host bits",
    (input): ReadonlyArray<IpNetwork.IpNetwork> | undefined => {
      const parsed = entriesOf(input).map(IpNetwork.fromString)
      return parsed.every(Result.isSuccess) ? parsed.map(({ success }) => success) : undefined
    }
  )

/** A host in the spelling of the URL parser, without the root's dot; a leading dot before a name is kept. */
const hostOf = (entry: string): string | undefined => {
  const address = NetAddress.ipFromString(entry.replace(/^\[(.*)\]$/, "$1"))
  if (Result.isSuccess(address)) {
    const text = NetAddress.formatIp(address.success)
    return new URL(NetAddress.isIpv6Address(address.success) ? `http://[${text}]` : `http://${text}`).hostname
  }
  const name = Host.domainNameFromString(entry.replace(/^\./, ""))
  if (Result.isFailure(name) || name.success === ".") return undefined
  return (entry.startsWith(".") ? "." : "") + name.success.replace(/\.$/, "")
}

/** Comma-separated hosts, without scheme and port; one with a leading dot stands for its subdomains, too. */
export const hosts = (name: string) =>
  variable(
    name,
    "comma-separated host names or addresses, without scheme and port",
    (input): ReadonlyArray<string> | undefined => {
      const parsed = entriesOf(input).map(hostOf)
      return parsed.every((host) => host !== undefined) ? parsed : undefined
    }
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

/** Name of a key of signed notes (C2SP signed-note): no white space, no plus. */
export const noteName = (name: string) =>
  variable(name, "a name of at most 255 characters without white space and plus", (input) =>
    /^[^\s+]{1,255}$/.test(input) ? input : undefined
  )

/** A witness of the log. */
export interface Witness {
  /** Its verifier key, as written. */
  readonly vkey: string
  /** Prefix of what it is asked, without trailing slash. */
  readonly url: string
}

const VKEY = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/

/** Whether it is the verifier key of one who cosigns with Ed25519 (C2SP tlog-cosignature: type 0x04), and its id fits. */
const isWitnessKey = (vkey: string): boolean => {
  const [, name = "", id, encoded = ""] = VKEY.exec(vkey) ?? []
  const key = Buffer.from(encoded, "base64")
  return (
    key[0] === 4 &&
    hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), key]), "hex").startsWith(id ?? "-")
  )
}

const witnessOf = (entry: string): Witness | undefined => {
  const [vkey = "", url = "", ...rest] = entry.split(/\s+/)
  const isUrl = URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
  return isUrl && rest.length === 0 && isWitnessKey(vkey) ? { vkey, url: url.replace(/\/+$/, "") } : undefined
}

/** Comma-separated witnesses: the verifier key, a space and the URL of each. */
export const witnesses = (name: string) =>
  variable(
    name,
    "comma-separated entries of a witness's verifier key, a space and its URL",
    (input): ReadonlyArray<Witness> | undefined => {
      const parsed = entriesOf(input).map(witnessOf)
      return parsed.every((witness) => witness !== undefined) ? parsed : undefined
    }
  )

/** A connection URL of one of the given schemes, kept secret because it may hold a password. */
export const connectionUrl = (name: string, schemes: ReadonlyArray<string>) =>
  variable(name, `a URL starting ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`, (input) =>
    URL.canParse(input) && schemes.includes(new URL(input).protocol.slice(0, -1))
      ? Redacted.make(input)
      : undefined
  )

const isPercentEncoded = (text: string): boolean => {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** URL of a Redis server, kept secret because it may hold a password. The path is the number of a database. */
export const redisUrl = (name: string) =>
  variable(name, "a URL like redis://user:password@host:port/database, or rediss://", (input) => {
    const url = URL.canParse(input) ? new URL(input) : undefined
    return url !== undefined &&
      /^rediss?:$/.test(url.protocol) &&
      url.hostname !== "" &&
      /^\/?\d*$/.test(url.pathname) &&
      isPercentEncoded(url.username + url.password)
      ? Redacted.make(input)
      : undefined
  })

/** Name of an HTTP header (RFC 9110 §5.1), lower-case as Node names them. */
export const headerName = (name: string) =>
  variable(name, "the name of a header", (input) =>
    /^[\w!#$%&'*+.^`|~-]+$/.test(input) ? input.toLowerCase() : undefined
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
