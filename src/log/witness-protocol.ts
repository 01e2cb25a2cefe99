import {
  formatSignature,
  isSignedBy,
  parseNote,
  parseSignatures,
  type VerifierKey
} from "../client/log-note.ts"
import type { Proof } from "./Prover.ts"
import { base64 } from "./render.ts"

/** What a witness is asked with, and how its answer is read (C2SP tlog-witness, `add-checkpoint`). */

/** Media type of an answer that tells the size the witness knows. */
const SIZE_TYPE = "text/x.tlog.size"

/** Body of the request: the checkpoint, and why it extends the tree of `old` leaves that the witness knows. */
export const requestBody = (old: number, proof: Proof, note: string): string =>
  [`old ${old}`, ...proof.map(base64), "", note].join("\n")

/** The size that the witness knows; undefined when the answer does not tell one. */
export const sizeIn = (body: string, contentType: string | undefined): number | undefined => {
  const size = /^(?:0|[1-9][0-9]{0,15})\n$/.test(body) ? Number(body) : Number.NaN
  return contentType === SIZE_TYPE && Number.isSafeInteger(size) ? size : undefined
}

/** The witness's signature lines in its answer; undefined unless it has one that is valid on the checkpoint. */
export const cosignatureIn = async (
  body: string,
  note: string,
  witness: VerifierKey
): Promise<string | undefined> => {
  try {
    const signatures = parseSignatures(body).filter(
      ({ bytes, name }) => name === witness.name && Buffer.compare(bytes.subarray(0, 4), witness.id) === 0
    )
    const isValid = await isSignedBy({ text: parseNote(note).text, signatures }, witness)
    const [first] = signatures
    return isValid && first !== undefined ? formatSignature(first) : undefined
  } catch {
    return undefined
  }
}
