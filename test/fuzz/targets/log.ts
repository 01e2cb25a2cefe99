import { formatTreeHead, openCheckpoint, parseTreeHead } from "../../../src/client/log-checkpoint.ts"
import { decodeSet, RICE_PARAMETER } from "../../../src/client/golomb.ts"
import {
  formatSignature,
  formatVerifierKey,
  parseNote,
  parseVerifierKey
} from "../../../src/client/log-note.ts"
import { LogRefused } from "../../../src/client/log-refusal.ts"
import { verifyEvent } from "../../../src/client/log-event.ts"
import { indexPath, TILE_WIDTH } from "../../../src/client/log-tiles.ts"
import { parsePlace } from "../../../src/log/tile.ts"
import { sizeIn } from "../../../src/log/witness-protocol.ts"
import { encodeSet } from "../../../src/revocation/golomb.ts"
import { noteKey, signatureLine, treeHeadText } from "../../support/log/MemoryLog.ts"
import * as naive from "../../support/log/naive-tree.ts"
import { assertThat, bytesOf, type Target } from "../target.ts"

const key = noteKey("example.com/log")
const verifier = await parseVerifierKey(key.vkey)
const text = treeHeadText(
  "example.com/log",
  Array.from({ length: 5 }, (_, i) => naive.leafOf(`leaf ${i}`))
)
const signed = `${text}\n${signatureLine(key, text)}`
const proof = `c2sp.org/tlog-proof@v1\nextra e30=\nindex 3\n${"A".repeat(43)}=\n\n${signed}`

/** What a parser makes of a text; refusals are of the documented kind. */
const tried = <A>(parse: () => A): A | undefined => {
  try {
    return parse()
  } catch (error) {
    if (error instanceof LogRefused) return undefined
    throw error
  }
}

const triedLater = async <A>(parse: () => Promise<A>): Promise<A | undefined> => {
  try {
    return await parse()
  } catch (error) {
    if (error instanceof LogRefused) return undefined
    throw error
  }
}

const checkPlaces = (input: string): void => {
  const place = parsePlace(input)
  if (place !== undefined) {
    const spelt = `${indexPath(place.index)}${place.width === TILE_WIDTH ? "" : `.p/${place.width}`}`
    assertThat(spelt === input, "a tile has one path")
  }
  const size = sizeIn(input, "text/x.tlog.size")
  assertThat(size === undefined || `${size}\n` === input, "a size has one spelling")
}

const COUNT = 3

const checkSet = (input: string): boolean => {
  const coded = bytesOf(input)
  const values = decodeSet(coded, COUNT, COUNT * 2 ** RICE_PARAMETER)
  if (values === undefined) return false
  assertThat(Buffer.compare(encodeSet(values), coded) === 0, "a set has one coding")
  return true
}

/** Formats of the transparency log and of the revocation filter, as clients and service read them. */
export const log: Target = {
  name: "log",
  seeds: [
    signed,
    text,
    proof,
    key.vkey,
    "000",
    "x001/234.p/7",
    "17\n",
    Buffer.from(encodeSet(Float64Array.of(5, 1_048_577, 3_000_000))).toString("latin1")
  ],
  dictionary: [
    "\n\n",
    "\u2014 ",
    "example.com/log",
    "x001/",
    ".p/255",
    "index 0",
    "extra ",
    "=",
    "==",
    "A".repeat(43) + "="
  ],
  run: async (input) => {
    checkPlaces(input)
    const isSet = checkSet(input)
    const head = tried(() => parseTreeHead(input))
    if (head !== undefined) assertThat(input.startsWith(formatTreeHead(head)), "a tree head has one spelling")
    const note = tried(() => parseNote(input))
    if (note !== undefined)
      assertThat(
        `${note.text}\n${note.signatures.map(formatSignature).join("")}` === input,
        "a note has one spelling"
      )
    const vkey = await triedLater(() => parseVerifierKey(input))
    if (vkey !== undefined) assertThat(formatVerifierKey(vkey) === input, "a verifier key has one spelling")
    const checkpoint = note && (await triedLater(() => openCheckpoint(input, { key: verifier })))
    if (checkpoint !== undefined)
      assertThat(input.startsWith(`${text}\n`), "no checkpoint but the signed one is believed")
    const event = await triedLater(() => verifyEvent("{}", input, { key: verifier }))
    assertThat(event === undefined, "a proof of nothing is none")
    return [isSet, head, note, vkey, checkpoint].map((each) => each !== undefined && each !== false).join()
  }
}
