import { encodeBase64url } from "../aitp/base64url.ts"
import type { ServedCheckpoint } from "./Checkpoints.ts"
import { entryText } from "./covered.ts"
import type { Finding, Verified } from "./LedgerAudit.ts"
import type { LoggedRow } from "./LogEntries.ts"
import type { Proof } from "./Prover.ts"

export const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

/** An event's proof, and all that is needed to check it. */
export interface EventProof {
  readonly row: LoggedRow
  readonly leaf: Uint8Array
  readonly hashes: Proof
  readonly checkpoint: ServedCheckpoint
}

/** What the leaf is computed from. Once the payload is erased, its salt would only help to guess it. */
const preimage = (row: LoggedRow) => ({
  entry: entryText(row) ?? "",
  salt: row.payload === null ? null : encodeBase64url(row.salt)
})

/** C2SP tlog-proof; its extra line is base64 of the JSON object `{entry, salt}`. */
export const proofText = ({ checkpoint, hashes, row }: EventProof): string =>
  [
    "c2sp.org/tlog-proof@v1",
    `extra ${base64(Buffer.from(JSON.stringify(preimage(row))))}`,
    `index ${row.seq - 1}`,
    ...hashes.map(base64),
    "",
    checkpoint.note
  ].join("\n")

export const proofJson = ({ checkpoint, hashes, leaf, row }: EventProof): string =>
  JSON.stringify({
    logIndex: row.seq - 1,
    treeSize: checkpoint.size,
    leafHash: base64(leaf),
    hashes: hashes.map(base64),
    rootHash: base64(checkpoint.root),
    checkpoint: checkpoint.note,
    ...preimage(row)
  })

interface Verdict extends Verified {
  readonly from: number
  readonly isOwn: boolean
  readonly checkpoint: ServedCheckpoint
}

const reasonOf = (finding: Finding | undefined, isOwn: boolean) =>
  finding === undefined ? (isOwn ? null : "checkpoint") : finding.fault

export const verdictJson = ({ checked, checkpoint, finding, from, hasMore, isOwn, upTo }: Verdict): string =>
  JSON.stringify({
    verified: finding === undefined && isOwn,
    checkedCount: checked,
    brokenAtId: finding?.eventId ?? null,
    brokenAtSeq: finding?.seq ?? null,
    reason: reasonOf(finding, isOwn),
    from,
    to: upTo,
    nextFrom: hasMore ? upTo + (finding?.positions ?? 1) : null,
    checkpoint: checkpoint.note
  })

/** Longest entry that the bundle's two bytes of length can tell. */
const MAX_ENTRY = 0xffff

/** An entry bundle (C2SP tlog-tiles); undefined when a row is missing or its entry is longer than the format can tell. */
export const entryBundle = (rows: ReadonlyArray<LoggedRow>, width: number): Uint8Array | undefined => {
  const entries = rows.map((row) => Buffer.from(entryText(row) ?? ""))
  if (rows.length !== width || entries.some(({ length }) => length === 0 || length > MAX_ENTRY))
    return undefined
  return Buffer.concat(
    entries.flatMap((entry) => [Buffer.from([entry.length >> 8, entry.length & 0xff]), entry])
  )
}
