import { randomFillSync } from "node:crypto"
import { Layer } from "effect"
import { SecureRandom } from "effect/crypto"

/** Bytes asked of the system at once: sixteen cost as much as thousands. */
const POOL_BYTES = 8192

const pool = Buffer.alloc(POOL_BYTES)
let used = POOL_BYTES

/** Cryptographically secure bytes; each is given out once and not kept. */
export const randomBytes = (size: number): Uint8Array => {
  if (size > POOL_BYTES / 8) return randomFillSync(new Uint8Array(size))
  if (used + size > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  const taken = new Uint8Array(pool.subarray(used, used + size))
  pool.fill(0, used, used + size)
  used += size
  return taken
}

/** Ids and tokens made of these bytes. */
export const layer = Layer.succeed(SecureRandom.SecureRandom, SecureRandom.make(randomBytes))
