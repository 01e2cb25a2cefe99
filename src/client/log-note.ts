// Signed notes (C2SP signed-note) and the cosignatures of witnesses on them (C2SP tlog-cosignature).

import { decodeBase64, encodeBase64, equalBytes } from "./log-base64.ts"
import { LogRefused } from "./log-refusal.ts"
import { sha256 } from "./sha256.ts"

/** What a key signs: notes as they are, or, by a witness, checkpoints with the time at which it saw them. */
export type SignatureType = "note" | "cosignature"

const typeBytes = { note: 1, cosignature: 4 } as const

/** An Ed25519 key with its name. */
export interface VerifierKey {
  readonly name: string
  readonly type: SignatureType
  /** Four bytes that, with the name, tell its signatures from others. */
  readonly id: Uint8Array<ArrayBuffer>
  /** 32 bytes. */
  readonly key: Uint8Array<ArrayBuffer>
}

/** A line below a note. */
export interface NoteSignature {
  readonly name: string
  /** Key id, then what the key's type makes of it. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

export interface Note {
  /** What is signed, with the line break at its end. */
  readonly text: string
  readonly signatures: ReadonlyArray<NoteSignature>
}

/** Longest note that is read; each signature may have some kilobytes. */
const MAX_LENGTH = 1_048_576
const ID_BYTES = 4
const TIME_BYTES = 8

const malformed = (message: string) => new LogRefused("MALFORMED", message)

const joined = (...parts: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

/** The key of this name, type and 32 raw bytes. */
export const verifierKey = async (
  name: string,
  type: SignatureType,
  key: Uint8Array<ArrayBuffer>
): Promise<VerifierKey> => {
  const digest = await sha256(joined(utf8(`${name}\n`), Uint8Array.of(typeBytes[type]), key))
  return { name, type, key, id: digest.slice(0, ID_BYTES) }
}

const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/** `<name>+<key id>+<type and key>`. */
export const formatVerifierKey = ({ id, key, name, type }: VerifierKey): string =>
  `${name}+${hexOf(id)}+${encodeBase64(joined(Uint8Array.of(typeBytes[type]), key))}`

/** Reads a verifier key of an Ed25519 key. Throws `MALFORMED`. */
export const parseVerifierKey = async (text: string): Promise<VerifierKey> => {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? []
  const bytes = decodeBase64(encoded ?? "")
  const type =
    bytes?.[0] === typeBytes.note ? "note" : bytes?.[0] === typeBytes.cosignature ? "cosignature" : undefined
  if (name === undefined || bytes?.length !== 33 || type === undefined) {
    throw malformed("not a verifier key of an Ed25519 key")
  }
  const key = await verifierKey(name, type, bytes.slice(1))
  if (hexOf(key.id) !== id) throw malformed("the verifier key's id is not that of its key")
  return key
}

const signatureLine = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)$/

/** Reads signature lines, each with its line break. Throws `MALFORMED`. */
export const parseSignatures = (lines: string): ReadonlyArray<NoteSignature> => {
  if (!lines.endsWith("\n")) throw malformed("the last signature line has no end")
  return lines
    .slice(0, -1)
    .split("\n")
    .map((line) => {
      const [, name, encoded] = signatureLine.exec(line) ?? []
      const bytes = decodeBase64(encoded ?? "")
      if (name === undefined || bytes === undefined || bytes.length <= ID_BYTES) {
        throw malformed("not a signature line")
      }
      return { name, bytes }
    })
}

/** A signature line, with its line break. */
export const formatSignature = ({ bytes, name }: NoteSignature): string =>
  `\u2014 ${name} ${encodeBase64(bytes)}\n`

/** Reads a signed note without looking at its signatures. Throws `MALFORMED`. */
export const parseNote = (note: string): Note => {
  const end = note.lastIndexOf("\n\n")
  // eslint-disable-next-line no-control-regex -- the format forbids them
  if (note.length > MAX_LENGTH || end === -1 || /[\0-\t\v-\x1f]/.test(note))
    throw malformed("not a signed note")
  return { text: note.slice(0, end + 1), signatures: parseSignatures(note.slice(end + 2)) }
}

const verifies = async (
  { key }: VerifierKey,
  message: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>
) =>
  signature.length === 64 &&
  crypto.subtle.verify(
    "Ed25519",
    await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]),
    signature,
    message
  )

/** The time of a cosignature, Unix seconds, as text: it may be any 64-bit number. */
const timeOf = (bytes: Uint8Array<ArrayBuffer>): string =>
  String(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(ID_BYTES))

/** Whether one of the signatures is a valid one of this key; throws `SIGNATURE` when one says so and is not. */
export const isSignedBy = async ({ signatures, text }: Note, key: VerifierKey): Promise<boolean> => {
  let signed = false
  for (const { bytes, name } of signatures) {
    if (name !== key.name || !equalBytes(bytes.subarray(0, ID_BYTES), key.id)) continue
    const ofWitness = key.type === "cosignature"
    if (ofWitness && bytes.length < ID_BYTES + TIME_BYTES)
      throw new LogRefused("SIGNATURE", `${name}: too short`)
    const message = ofWitness ? `cosignature/v1\ntime ${timeOf(bytes)}\n${text}` : text
    if (!(await verifies(key, utf8(message), bytes.slice(ID_BYTES + (ofWitness ? TIME_BYTES : 0))))) {
      throw new LogRefused("SIGNATURE", `a signature of ${name} does not verify`)
    }
    signed = true
  }
  return signed
}
