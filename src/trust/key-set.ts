import { Result, Schema } from "effect"
import { decodeBase64urlOf, encodeBase64url } from "../aitp/base64url.ts"
import { isJsonObject, type JsonObject, readJson } from "../aitp/json.ts"
import { publicKey } from "../aitp/keys.ts"
import { decompressP256 } from "../aitp/p256.ts"

/** Largest key set or discovery document, in bytes. */
export const MAX_DOCUMENT_BYTES = 1_048_576

/** A document of an issuer is not what it must be; `message` is one line that holds none of its values. */
export class DocumentInvalid extends Schema.TaggedError<DocumentInvalid>()("DocumentInvalid", {
  message: Schema.String
}) {}

/** A JSON Web Key Set (RFC 7517 §5). */
export interface KeySet {
  /** As received. */
  readonly text: string
  /** Its keys that agents can use, see `agentKeyOf`, each once. */
  readonly agentKeys: ReadonlyArray<string>
}

/** Members that only private and symmetric keys have (RFC 7518 §6; `priv`: keys of kind AKP). */
const SECRET_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]

const invalid = (message: string) => Result.fail(new DocumentInvalid({ message }))

/** Reads a JSON object without duplicate names. */
export const readDocument = (bytes: Uint8Array): Result.Result<JsonObject, DocumentInvalid> =>
  Result.match(readJson(bytes), {
    onFailure: ({ message }) => invalid(message),
    onSuccess: (value) => (isJsonObject(value) ? Result.succeed(value) : invalid("not a JSON object"))
  })

/** Reads a key set. One with a private or symmetric key is refused whole: whatever was signed with it proves nothing. */
export const readKeySet = (bytes: Uint8Array): Result.Result<KeySet, DocumentInvalid> =>
  Result.flatMap(readDocument(bytes), ({ keys }) => {
    if (!Array.isArray(keys)) return invalid("keys is not an array")
    const agentKeys = new Set<string>()
    for (const key of keys as ReadonlyArray<unknown>) {
      if (!isJsonObject(key)) return invalid("a key is not an object")
      if (typeof key["kty"] !== "string") return invalid("a key has no kty")
      if (SECRET_MEMBERS.some((name) => Object.hasOwn(key, name))) return invalid("a key is not public")
      const agentKey = agentKeyOf(key)
      if (agentKey !== undefined) agentKeys.add(agentKey)
    }
    return Result.succeed({ text: Buffer.from(bytes).toString("utf8"), agentKeys: [...agentKeys] })
  })

/** Whether a key is for checking signatures, as far as it says (RFC 7517 §4.2, §4.3). */
const isForSignatures = ({ key_ops: operations, use }: JsonObject): boolean =>
  (use === undefined || use === "sig") &&
  (operations === undefined || (Array.isArray(operations) && operations.includes("verify")))

/**
 * A key in the spelling of AIDs and trust documents: 43 characters for Ed25519, 44 for P-256. Undefined for keys of other
 * kinds, for encryption, or not on the curve.
 */
const agentKeyOf = (key: JsonObject): string | undefined => {
  if (!isForSignatures(key)) return undefined
  const { crv, kty, x, y } = key
  if (typeof x !== "string") return undefined
  if (kty === "OKP" && crv === "Ed25519") return publicKey("ed25519", x)?.encoded
  return kty === "EC" && crv === "P-256" && typeof y === "string" ? compressedP256(x, y) : undefined
}

const compressedP256 = (x: string, y: string): string | undefined => {
  const [left, right] = [decodeBase64urlOf(32, x), decodeBase64urlOf(32, y)]
  const last = right?.at(-1)
  if (left === undefined || right === undefined || last === undefined) return undefined
  const compressed = Buffer.concat([Buffer.of(last % 2 === 0 ? 2 : 3), left])
  const point = decompressP256(compressed)
  return point !== undefined && Buffer.compare(point.y, right) === 0 ? encodeBase64url(compressed) : undefined
}
