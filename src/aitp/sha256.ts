import { hash } from "node:crypto"

/** SHA-256, 32 bytes. Text is hashed as UTF-8. */
export const sha256 = (data: string | Uint8Array): Uint8Array => hash("sha256", data, "buffer")
