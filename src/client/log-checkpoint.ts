// Checkpoints (C2SP tlog-checkpoint): the size and root hash of a log, as a signed note.

import { decodeBase64, encodeBase64 } from "./log-base64.ts"
import { isSignedBy, type Note, parseNote, type VerifierKey } from "./log-note.ts"
import { LogRefused } from "./log-refusal.ts"

/** What a log says of itself. */
export interface TreeHead {
  /** Which log it is. */
  readonly origin: string
  /** Leaves in its tree. */
  readonly size: number
  /** RFC 6962 root hash, 32 bytes. */
  readonly root: Uint8Array<ArrayBuffer>
}

/** A checkpoint whose signature was verified. */
export interface Checkpoint extends TreeHead {
  /** The note as it came. */
  readonly note: string
  /** Names of the known witnesses that have cosigned it. */
  readonly witnesses: ReadonlyArray<string>
}

/** Who must have signed. */
export interface Trust {
  /** Key of the log; its name is the log's origin. */
  readonly key: VerifierKey
  readonly witnesses?: ReadonlyArray<VerifierKey>
  /** How many of the witnesses must have cosigned; 0 unless given. */
  readonly quorum?: number
}

/** The text that is signed. */
export const formatTreeHead = ({
  origin,
  root,
  size
}: {
  origin: string
  size: number
  root: Uint8Array
}): string => `${origin}\n${size}\n${encodeBase64(root)}\n`

/** Reads the text of a checkpoint; lines after the third are ignored, as the format asks. Throws `MALFORMED`. */
export const parseTreeHead = (text: string): TreeHead => {
  const [origin = "", decimal = "", encoded = "", ...rest] = text.split("\n")
  const size = Number(decimal)
  const root = decodeBase64(encoded)
  const isComplete = rest.pop() === "" && !rest.includes("") && origin !== ""
  if (
    !isComplete ||
    !/^(?:0|[1-9][0-9]*)$/.test(decimal) ||
    !Number.isSafeInteger(size) ||
    root?.length !== 32
  ) {
    throw new LogRefused("MALFORMED", "not a checkpoint")
  }
  return { origin, size, root }
}

const cosigners = async (
  note: Note,
  witnesses: ReadonlyArray<VerifierKey>
): Promise<ReadonlyArray<string>> => {
  const names: Array<string> = []
  for (const witness of witnesses) {
    const signed = await isSignedBy(note, witness).catch(() => false) // a bad cosignature is none
    if (signed) names.push(witness.name)
  }
  return names
}

/** Reads a checkpoint and verifies it. Throws `MALFORMED`, `ORIGIN`, `SIGNATURE` or `WITNESS`. */
export const openCheckpoint = async (
  note: string,
  { key, quorum = 0, witnesses = [] }: Trust
): Promise<Checkpoint> => {
  const parsed = parseNote(note)
  const head = parseTreeHead(parsed.text)
  if (head.origin !== key.name) {
    throw new LogRefused("ORIGIN", `the checkpoint is of the log ${head.origin}, not of ${key.name}`)
  }
  if (!(await isSignedBy(parsed, key))) {
    throw new LogRefused("SIGNATURE", "the checkpoint is not signed by the key of the log")
  }
  const names = await cosigners(parsed, witnesses)
  if (names.length < quorum) {
    throw new LogRefused(
      "WITNESS",
      `cosigned by ${names.length} of ${witnesses.length} witnesses, ${quorum} needed`
    )
  }
  return { ...head, note, witnesses: names }
}
