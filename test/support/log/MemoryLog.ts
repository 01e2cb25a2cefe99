import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto"
import type { LogSource } from "../../../src/client/log-verifier.ts"
import * as naive from "./naive-tree.ts"

/** An Ed25519 key with a name, as notes are signed with; after C2SP signed-note, by itself. */
export interface NoteKey {
  readonly name: string
  readonly type: 1 | 4
  readonly id: Buffer
  readonly raw: Buffer
  readonly secret: KeyObject
  readonly vkey: string
}

export const noteKey = (name: string, seedByte = 1, type: 1 | 4 = 1): NoteKey => {
  const pkcs8 = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    Buffer.alloc(32, seedByte)
  ])
  const secret = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" })
  const raw = createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32)
  const typed = Buffer.concat([Buffer.from([type]), raw])
  const id = createHash("sha256").update(`${name}\n`).update(typed).digest().subarray(0, 4)
  return { name, type, id, raw, secret, vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}` }
}

/** A signature line of a note. */
export const signatureLine = ({ id, name, secret }: NoteKey, text: string): string =>
  `\u2014 ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), secret)]).toString("base64")}\n`

/** A witness's line (C2SP tlog-cosignature). */
export const cosignatureLine = ({ id, name, secret }: NoteKey, text: string, time: number): string => {
  const seconds = Buffer.alloc(8)
  seconds.writeBigUInt64BE(BigInt(time))
  const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${text}`), secret)
  return `\u2014 ${name} ${Buffer.concat([id, seconds, signature]).toString("base64")}\n`
}

export const treeHeadText = (origin: string, leaves: ReadonlyArray<naive.Hash>): string =>
  `${origin}\n${leaves.length}\n${naive.rootOf(leaves).toString("base64")}\n`

/** A log of these leaves, all in memory, whose tiles may be tampered with. */
export class MemoryLog implements LogSource {
  readonly key: NoteKey
  readonly leaves: ReadonlyArray<naive.Hash>
  readonly requested: Array<string> = []
  readonly #tiles: Map<string, Buffer>
  note: string

  constructor(key: NoteKey, leaves: ReadonlyArray<naive.Hash>) {
    this.key = key
    this.leaves = leaves
    const text = treeHeadText(key.name, leaves)
    this.note = `${text}\n${signatureLine(key, text)}`
    this.#tiles = new Map()
    for (const [place, hashes] of naive.tilesOf(leaves)) {
      const [level = "", index = ""] = place.split("/")
      const path = `tile/${level}/${index.padStart(3, "0")}`
      this.#tiles.set(hashes.length === 8192 ? path : `${path}.p/${hashes.length / 32}`, hashes)
    }
  }

  /** Changes one byte of a tile. */
  tamper(path: string, at: number): this {
    const tile = Buffer.from(this.#tiles.get(path) ?? Buffer.alloc(0))
    tile[at] = (tile[at] ?? 0) ^ 1
    this.#tiles.set(path, tile)
    return this
  }

  remove(path: string): this {
    this.#tiles.delete(path)
    return this
  }

  rename(path: string, to: string, hashes?: Buffer): this {
    this.#tiles.set(to, hashes ?? this.#tiles.get(path) ?? Buffer.alloc(0))
    return this.remove(path)
  }

  checkpoint = () => Promise.resolve(this.note)

  tile = (path: string) => {
    this.requested.push(path)
    const tile = this.#tiles.get(path)
    return Promise.resolve(tile === undefined ? undefined : new Uint8Array(tile))
  }
}
