import { hash } from "node:crypto"

/** Where an id lies in the coded set, written down from docs/revocation-feeds.md alone. */
export const positionOf = (key: Uint8Array, jti: string, entries: number): number => {
  const digest = hash("sha256", Buffer.concat([key, Buffer.from(jti.replaceAll("-", ""), "hex")]), "buffer")
  return Number((digest.readBigUInt64BE() * BigInt(entries * 1_048_576)) >> 64n)
}
