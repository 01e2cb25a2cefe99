import { hash } from "node:crypto"
import { encodeSet, RICE_PARAMETER } from "./golomb.ts"

/** Name of the coding: the hash, its scaling and the Rice parameter. Another coding gets another name. */
export const FILTER_ALGORITHM = "gcs-sha256-p20"

/** How many ids that are not on the list pass the filter: one in 2^20. */
export const FALSE_POSITIVE_RATE = "1/1048576"

/**
 * Where an id lies in 0 to `range` - 1: the first 64 bits of SHA-256 over key and id, scaled by multiplication. `key` and
 * `jti` are given as one buffer of 48 bytes.
 */
const position = (keyAndId: Uint8Array, range: bigint): number =>
  Number((hash("sha256", keyAndId, "buffer").readBigUInt64BE() * range) >> 64n)

/**
 * The coded set of these ids (UUIDs) under a key of 32 bytes; a pure function of both, whatever their order. Takes 2 to
 * 3 µs per id.
 */
export const codedSet = (jtis: ReadonlyArray<string>, key: Uint8Array): Uint8Array => {
  const range = BigInt(jtis.length) << BigInt(RICE_PARAMETER)
  const keyAndId = Buffer.alloc(48)
  keyAndId.set(key)
  const positions = Float64Array.from(jtis, (jti) => {
    keyAndId.write(jti.replaceAll("-", ""), 32, "hex")
    return position(keyAndId, range)
  })
  return encodeSet(positions.sort())
}
