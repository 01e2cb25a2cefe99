import { encodeBase64url } from "../aitp/base64url.ts"
import { inspectToken } from "../aitp/jws.ts"
import { sha256 } from "../aitp/sha256.ts"
import type { Members } from "./members.ts"
import { clean } from "./sanitise.ts"

/** A compact token met in a request. Its text stays in memory and goes no further. */
export interface Token {
  readonly text: string
  /** What is stored in its place: `jws:sha256:` and the digest of the text, 43 characters. */
  readonly standIn: string
  /** SHA-256 of the text, base64url. */
  readonly digest: string
  /** Header member `typ`. */
  readonly typ: unknown
  /** Decoded payload, cleaned, tokens in it replaced; undefined when it is no JSON object. */
  readonly claims: Members | undefined
  /** How many tokens it is wrapped in; 0: it was reported itself. */
  readonly depth: number
}

/** Tokens whose signature is checked for one request; those beyond stay unchecked. */
export const MAX_VERIFIED = 64

const standInPattern = /jws:sha256:[A-Za-z0-9_-]{43}/g

// Characters of tokens and of the dots between their segments. A single class is matched in linear time.
const run = /[A-Za-z0-9_.-]+/g

// A header is base64url of an object: `{`, perhaps behind white space. Its shortest form, {"alg":1}, has 12 characters.
const headerStart = /^(?:e[w-z0-9_-]|I[A-P]|C[Q-v]|D[Q-f])[A-Za-z0-9_-]{10}/

/** Refused for its length before any cryptography, so that inspecting costs no more than decoding. */
const NO_SIGNATURE = ".AA"

/**
 * The compact tokens of one request, recognised wherever they stand in a text: alone, or inside a longer one such as an
 * `Authorization` header. Strings that only look like tokens (`x.y.z`) are none.
 */
export class Tokens {
  readonly #byText = new Map<string, Token>()
  readonly #byStandIn = new Map<string, Token>()
  readonly #verified = new Map<string, boolean>()

  /** The text with every token in it replaced by its stand-in; the same string when it holds none. */
  replaceIn(text: string): string {
    return this.#replaceIn(text, 0)
  }

  /** A copy of a JSON value without tokens, member names included; the value itself when it holds none. */
  redact(value: unknown): unknown {
    return this.#redact(value, 0)
  }

  /** Whether none was met so far. */
  get isEmpty(): boolean {
    return this.#byText.size === 0
  }

  /** The token behind a stand-in; other values stand for none. */
  get(standIn: unknown): Token | undefined {
    return typeof standIn === "string" ? this.#byStandIn.get(standIn) : undefined
  }

  /** The tokens that stand-ins inside a text stand for. */
  within(text: string): ReadonlyArray<Token> {
    if (this.#byStandIn.size === 0) return []
    return (text.match(standInPattern) ?? []).flatMap((standIn) => this.get(standIn) ?? [])
  }

  /** Texts of the tokens whose signatures to check: reported ones before those wrapped in others. */
  toVerify(): ReadonlyArray<string> {
    return [...this.#byText.values()]
      .toSorted((a, b) => a.depth - b.depth)
      .slice(0, MAX_VERIFIED)
      .map(({ text }) => text)
  }

  /** Records what the check of a signature said. */
  settle(text: string, verified: boolean): void {
    this.#verified.set(text, verified)
  }

  /** Whether the signature verifies under the key in `iss`; null when it was not checked. */
  isVerified(token: Token): boolean | null {
    return this.#verified.get(token.text) ?? null
  }

  /** Tokens met whose signature was not checked. */
  get unchecked(): number {
    return this.#byText.size - this.#verified.size
  }

  #replaceIn(text: string, depth: number): string {
    const dot = text.indexOf(".")
    if (dot === -1 || text.indexOf(".", dot + 1) === -1) return text
    return text.replace(run, (piece) => this.#replaceInRun(piece, depth))
  }

  #replaceInRun(piece: string, depth: number): string {
    const segments = piece.split(".")
    if (segments.length < 3) return piece
    const kept: Array<string> = []
    for (let at = 0; at < segments.length; at += 1) {
      const segment = segments[at] ?? ""
      const [second, third] = segments.slice(at + 1, at + 3)
      const token =
        second && third && headerStart.test(segment)
          ? this.#recognise(`${segment}.${second}.${third}`, depth)
          : undefined
      kept.push(token?.standIn ?? segment)
      if (token !== undefined) at += 2
    }
    return kept.join(".")
  }

  #redact(value: unknown, depth: number): unknown {
    if (typeof value === "string") return this.#replaceIn(value, depth)
    if (typeof value !== "object" || value === null) return value
    if (Array.isArray(value)) {
      let copy: Array<unknown> | undefined
      for (const [index, item] of value.entries()) {
        const redacted = this.#redact(item, depth)
        if (!Object.is(redacted, item)) (copy ??= [...value])[index] = redacted
      }
      return copy ?? value
    }
    const names = Object.keys(value)
    const memberOf = (name: string): unknown => Reflect.get(value, name)
    let copy: Array<readonly [string, unknown]> | undefined
    for (const [at, name] of names.entries()) {
      const redacted = [this.#replaceIn(name, depth), this.#redact(memberOf(name), depth)] as const
      if (copy === undefined && redacted[0] === name && Object.is(redacted[1], memberOf(name))) continue
      // Nearly every object holds no token: a copy begins with the first one met.
      copy ??= names.slice(0, at).map((before) => [before, memberOf(before)])
      copy.push(redacted)
    }
    return copy === undefined ? value : Object.fromEntries(copy)
  }

  #recognise(text: string, depth: number): Token | undefined {
    const known = this.#byText.get(text)
    if (known !== undefined) return known
    const inspected = inspectToken(text.slice(0, text.lastIndexOf(".")) + NO_SIGNATURE)
    if (inspected === undefined) return undefined
    const digest = encodeBase64url(sha256(text))
    // A token inside the claims is shorter than the text it came in, so this ends.
    const claims = inspected.claims && (this.#redact(clean(inspected.claims), depth + 1) as Members) // objects stay objects
    const token = {
      text,
      standIn: `jws:sha256:${digest}`,
      digest,
      typ: inspected.header["typ"],
      claims,
      depth
    }
    this.#byText.set(text, token)
    this.#byStandIn.set(token.standIn, token)
    return token
  }
}
