import { encodeBase64url, decodeBase64url } from "./base64url.ts"
import { decodeBase64 } from "./log-base64.ts"
import { type Checkpoint, openCheckpoint, type Trust } from "./log-checkpoint.ts"
import { LogRefused } from "./log-refusal.ts"
import { type Hash, leafHash, verifyInclusion } from "./log-tree.ts"
import { sha256 } from "./sha256.ts"

/** An event that is in the log. */
export interface LoggedEvent {
  /** Place of its leaf, its position − 1. */
  readonly index: number
  readonly leaf: Hash
  /** The logged entry, canonical JSON. */
  readonly entry: string
  /** The payload is gone, and with it what could be compared of it. */
  readonly erased: boolean
  /** The checkpoint that it is proven against. */
  readonly checkpoint: Checkpoint
}

/** A proof as text (C2SP tlog-proof), taken apart. */
interface ProofParts {
  readonly extra: string
  readonly index: number
  readonly hashes: ReadonlyArray<Hash>
  readonly checkpoint: string
}

type Members = Readonly<Record<string, unknown>>

const malformed = (message: string) => new LogRefused("MALFORMED", message)
const another = (message: string) => new LogRefused("EVENT", message)

const parseProof = (text: string): ProofParts => {
  const end = text.indexOf("\n\n")
  const [title, ...lines] = text.slice(0, end).split("\n")
  const extra = decodeBase64(lines[0]?.startsWith("extra ") === true ? (lines.shift() ?? "").slice(6) : "")
  const [, index] = /^index (0|[1-9][0-9]*)$/.exec(lines.shift() ?? "") ?? []
  if (end === -1 || title !== "c2sp.org/tlog-proof@v1" || extra === undefined || index === undefined) {
    throw malformed("not a proof")
  }
  const hashes = lines.map((line) => {
    const hash = decodeBase64(line)
    if (hash?.length !== 32) throw malformed("not a hash")
    return hash
  })
  return {
    extra: new TextDecoder().decode(extra),
    index: Number(index),
    hashes,
    checkpoint: text.slice(end + 2)
  }
}

const objectOf = (text: string, what: string): Members => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed(`${what} is not JSON`)
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(`${what} is not an object`)
  return value as Members // neither null nor an array
}

/** Members of an entry that the event shows as they are. */
const SHOWN = [
  "id",
  "type",
  "ts",
  "aidA",
  "aidB",
  "sessionId",
  "runId",
  "namespace",
  "source",
  "reportedBy",
  "grants"
]

const saltedHash = async (salt: Uint8Array, value: unknown): Promise<string> => {
  const text = new TextEncoder().encode(JSON.stringify(value))
  const bytes = new Uint8Array(salt.length + text.length)
  bytes.set(salt)
  bytes.set(text, salt.length)
  return encodeBase64url(await sha256(bytes))
}

/** Throws `EVENT` unless the entry is about the event as it is shown. */
const compare = async (event: Members, entry: Members, salt: Uint8Array | undefined) => {
  for (const name of SHOWN) {
    if (JSON.stringify(event[name] ?? null) !== JSON.stringify(entry[name] ?? null)) {
      throw another(`${name} is not what was logged`)
    }
  }
  for (const name of ["payload", "artifacts"]) {
    if ((event[name] ?? null) === null) {
      if (event["payload"] !== null && entry[`${name}Hash`] !== null) throw another(`${name} is missing`)
      continue
    }
    if (salt === undefined) throw malformed("the proof of an event with a payload has no salt")
    if ((await saltedHash(salt, event[name])) !== entry[`${name}Hash`])
      throw another(`${name} is not what was logged`)
  }
}

/**
 * Verifies, without the service, that an event was logged as it is shown: that the entry in the proof is about it, and that
 * the log has signed a tree with that entry at its position.
 * @param event the answer to `GET /api/events/:id`
 * @param proof the answer to `GET /api/events/:id/proof` as text
 * Throws `MALFORMED`, `EVENT`, `PROOF`, `ORIGIN`, `SIGNATURE` or `WITNESS`.
 */
export const verifyEvent = async (event: string, proof: string, trust: Trust): Promise<LoggedEvent> => {
  const parts = parseProof(proof)
  const shown = objectOf(event, "the event")
  const extra = objectOf(parts.extra, "the proof's extra line")
  const entry = extra["entry"]
  const salt = typeof extra["salt"] === "string" ? decodeBase64url(extra["salt"]) : undefined
  if (typeof entry !== "string") throw malformed("the proof does not bring the logged entry")
  await compare(shown, objectOf(entry, "the entry"), salt)
  if (shown["seq"] !== parts.index + 1) throw another("the proof is that of another position")
  const checkpoint = await openCheckpoint(parts.checkpoint, trust)
  const leaf = await leafHash(new TextEncoder().encode(entry))
  const { root, size } = checkpoint
  await verifyInclusion({ index: parts.index, size, hashes: parts.hashes }, leaf, root)
  return { index: parts.index, leaf, entry, erased: shown["payload"] === null, checkpoint }
}
