import { createHash } from "node:crypto"

/** SHA-256, 32 bytes. Text is hashed as UTF-8. */
export const sha256 = (data: string | Uint8Array): Uint8Array => createHash("sha256").update(data).digest()
