import { createServer } from "node:http"
import { createPublicKey, verify } from "node:crypto"
import { RFC9162 } from "@transmute/rfc9162"
import { Effect } from "effect"
import { cosignatureLine, type NoteKey } from "./MemoryLog.ts"

/** How the witness treats requests. */
export type Manner =
  | "honest"
  /** Answers nothing. */
  | "silent"
  /** Signs something else. */
  | "forging"
  /** Answers that it is out of order. */
  | "broken"

export interface TestWitness {
  readonly url: string
  readonly key: NoteKey
  manner: Manner
  /** What it has cosigned, by origin. */
  readonly seen: Map<string, { readonly size: number; readonly root: Buffer }>
  /** Status of each answer. */
  readonly answers: Array<number>
}

interface Answer {
  readonly status: number
  readonly body?: string
  readonly type?: string
}

const spki = Buffer.from("302a300506032b6570032100", "hex")

/** Whether a line of the note is a valid signature of this key; false also when one with its name and id is not. */
const isSigned = (text: string, lines: ReadonlyArray<string>, { id, name, raw }: LogPublicKey): boolean =>
  lines.some((line) => {
    const [dash, by, encoded = ""] = line.split(" ")
    const bytes = Buffer.from(encoded, "base64")
    const key = createPublicKey({ key: Buffer.concat([spki, raw]), format: "der", type: "spki" })
    return (
      dash === "\u2014" &&
      by === name &&
      bytes.subarray(0, 4).equals(id) &&
      verify(null, Buffer.from(text), key, bytes.subarray(4))
    )
  })

interface LogPublicKey {
  readonly name: string
  readonly id: Buffer
  readonly raw: Buffer
}

const logKeyOf = (vkey: string): LogPublicKey => {
  const [name = "", id = "", encoded = ""] = vkey.split("+", 2).concat(vkey.split("+").slice(2).join("+"))
  return { name, id: Buffer.from(id, "hex"), raw: Buffer.from(encoded, "base64").subarray(1) }
}

/** `add-checkpoint` step by step as C2SP tlog-witness has it. */
const judge = async (
  witness: TestWitness,
  logs: () => ReadonlyArray<string>,
  body: string
): Promise<Answer> => {
  const split = body.indexOf("\n\n")
  const [oldLine = "", ...proofLines] = body.slice(0, split).split("\n")
  const note = body.slice(split + 2)
  const text = note.slice(0, note.lastIndexOf("\n\n") + 1)
  const lines = note
    .slice(text.length + 1)
    .split("\n")
    .slice(0, -1)
  const [origin = "", sizeLine = "", rootLine = ""] = text.split("\n")
  const [, oldText] = /^old (0|[1-9]\d*)$/.exec(oldLine) ?? []
  if (split === -1 || oldText === undefined || proofLines.length > 63) return { status: 400 }
  const key = logs()
    .map(logKeyOf)
    .find(({ name }) => name === origin)
  if (key === undefined) return { status: 404 }
  if (!isSigned(text, lines, key)) return { status: 403 }
  const [old, size, root] = [Number(oldText), Number(sizeLine), Buffer.from(rootLine, "base64")]
  if (old > size) return { status: 400 }
  const known = witness.seen.get(origin) ?? { size: 0, root: Buffer.alloc(0) }
  if (old !== known.size) return { status: 409, body: `${known.size}\n`, type: "text/x.tlog.size" }
  const proof = proofLines.map((line) => new Uint8Array(Buffer.from(line, "base64")))
  if (old === 0 ? proof.length > 0 : !(await isConsistent(known, { size, root }, proof)))
    return { status: 422 }
  witness.seen.set(origin, { size, root })
  const signed = witness.manner === "forging" ? `${text}forged\n` : text
  return { status: 200, body: cosignatureLine(witness.key, signed, 1_700_000_000), type: "text/plain" }
}

interface Head {
  readonly size: number
  readonly root: Buffer
}

const isConsistent = async (first: Head, second: Head, proof: Array<Uint8Array>): Promise<boolean> => {
  if (first.size === second.size) return proof.length === 0 && first.root.equals(second.root)
  // The library leaves the second step of RFC 9162 §2.1.4.2 to its caller.
  const isPerfect = Number.isInteger(Math.log2(first.size))
  return RFC9162.verifyConsistencyProof(new Uint8Array(first.root), new Uint8Array(second.root), {
    log_id: "",
    tree_size_1: first.size,
    tree_size_2: second.size,
    consistency_path: isPerfect ? [new Uint8Array(first.root), ...proof] : proof
  })
}

/**
 * A witness on a free port until the scope closes.
 * @param logs verifier keys of the logs it knows
 */
export const startWitness = (key: NoteKey, logs: () => ReadonlyArray<string>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly witness: TestWitness; readonly close: () => void }>((resume) => {
        const server = createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            if (witness.manner === "silent") return
            const reply = ({ body = "", status, type = "text/plain" }: Answer) => {
              witness.answers.push(status)
              response.writeHead(status, { "content-type": type }).end(body)
            }
            if (witness.manner === "broken") return reply({ status: 500 })
            if (request.method !== "POST" || request.url !== "/w/add-checkpoint")
              return reply({ status: 404 })
            void judge(witness, logs, Buffer.concat(chunks).toString("utf8")).then(reply)
          })
        })
        let witness: TestWitness
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          witness = { url: `http://127.0.0.1:${port}/w`, key, manner: "honest", seen: new Map(), answers: [] }
          const close = () => {
            server.closeAllConnections()
            server.close()
          }
          resume(Effect.succeed({ witness, close }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ witness }) => witness
  )
