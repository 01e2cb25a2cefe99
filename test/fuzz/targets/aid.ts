import { formatAid, formOfAid, keyOfAid, parseAid, sameKey, spellingsOf } from "../../../src/aitp/aid.ts"
import { decodeBase64urlOf } from "../../../src/aitp/base64url.ts"
import { parseUuid } from "../../../src/aitp/ids.ts"
import { parseSignature } from "../../../src/aitp/signature.ts"
import { readVector } from "../../support/aitp/vectors.ts"
import { assertThat, type Target } from "../target.ts"

const { vectors } = readVector<{ vectors: ReadonlyArray<{ field: string }> }>(
  "edge/base64url-and-aid-edge.json"
)

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** What is read as an AID is written the same way again, and two texts of one key are among its spellings. */
export const aid: Target = {
  name: "aid",
  seeds: [...vectors.map(({ field }) => field), "0b9a4c6e-1b1f-4b5e-8f2a-0123456789ab"],
  dictionary: [
    "aid:pubkey:",
    "ed25519:",
    "p256:",
    "ed25519.",
    "p256.",
    "A",
    "\u0430id:",
    "\u212a",
    "=",
    "\n"
  ],
  run: (input) => {
    const uuid = parseUuid(input)
    assertThat(
      uuid === undefined || (UUID.test(uuid) && uuid === input.toLowerCase()),
      "a UUID is folded, not guessed"
    )
    const signature = parseSignature(input)
    assertThat(signature === undefined || signature.bytes.length === 64, "a signature has 64 bytes")
    const parsed = parseAid(input)
    if (parsed === undefined)
      return signature === undefined ? (uuid ?? "refused").length.toString() : "signature"
    const { alg, encoded, raw } = keyOfAid(parsed)
    assertThat(parsed === input && /^[\x21-\x7e]+$/.test(input), "an AID is taken verbatim, and is ASCII")
    assertThat(formatAid(alg, raw, formOfAid(parsed)) === input, "an AID has one spelling per form")
    assertThat(decodeBase64urlOf(alg === "p256" ? 33 : 32, encoded) !== undefined, "its key is canonical")
    assertThat(
      spellingsOf(parsed).every((each) => sameKey(each, parsed)),
      "all its spellings are of one key"
    )
    return `${formOfAid(parsed)}`
  }
}
