import { randomUUID } from "node:crypto"
import { readFile, rename, writeFile } from "node:fs/promises"
import { parseArgs } from "node:util"
import type { Checkpoint, Trust } from "../src/client/log-checkpoint.ts"
import { verifyEvent } from "../src/client/log-event.ts"
import { parseVerifierKey } from "../src/client/log-note.ts"
import { LogRefused } from "../src/client/log-refusal.ts"
import { type LogState, readState, writeState } from "../src/client/log-state.ts"
import { verifyConsistency } from "../src/client/log-tree.ts"
import { followLog, type LogSource } from "../src/client/log-verifier.ts"
import { decodeBase64 } from "../src/client/log-base64.ts"

/**
 * Follows the transparency log of a control plane and fails when it was forked, taken back or altered; or verifies an event
 * and its proof. Believes nothing but the key it is given.
 */

const USAGE = `node scripts/verify-log.ts --url <base URL> --vkey <verifier key> [options]
node scripts/verify-log.ts --vkey <verifier key> --record <file> --proof <file>

--url      control plane, as https://cp.example.com
--vkey     verifier key of the log, as published at /log/key; get it once, from somewhere you trust
--state    file that remembers the last tree; without it everything is read, and nothing is compared with the past
--recheck  reads all tiles, not only the new ones
--event    id of an event whose proof is verified, too; needs an API key in CP_API_KEY
--witness  verifier key of a witness; may be given several times
--quorum   how many of the witnesses must have cosigned
--record   an event as the API shows it, and --proof, its proof as text: verified without the service

Exit status: 0 all is well, 1 the log must not be believed, 2 it could not be verified.`

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    vkey: { type: "string" },
    state: { type: "string" },
    recheck: { type: "boolean", default: false },
    event: { type: "string" },
    witness: { type: "string", multiple: true, default: [] },
    quorum: { type: "string", default: "0" },
    record: { type: "string" },
    proof: { type: "string" },
    help: { type: "boolean", default: false }
  }
})

/** What kept the log from being verified; says nothing about the log. */
class Unverifiable extends Error {}

const say = (line: string) => process.stdout.write(`${line}\n`)

const get = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> => {
  const response = await fetch(url, { headers, redirect: "error", signal: AbortSignal.timeout(30_000) })
  if (response.ok || response.status === 404) return response
  throw new Unverifiable(`${url} answers ${response.status}`)
}

const textAt = async (url: string, headers?: Readonly<Record<string, string>>): Promise<string> => {
  const response = await get(url, headers)
  if (!response.ok) throw new Unverifiable(`${url} answers ${response.status}`)
  return response.text()
}

const keyOf = (vkey: string) =>
  parseVerifierKey(vkey.trim()).catch(() => {
    throw new Unverifiable(`${vkey} is not a verifier key`)
  })

const sourceAt = (base: string): LogSource => ({
  checkpoint: () => textAt(`${base}/log/checkpoint`),
  tile: async (path) => {
    const response = await get(`${base}/log/${path}`)
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : undefined
  }
})

const remembered = async (file: string): Promise<LogState | undefined> => {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined
    throw error
  })
  if (text === undefined) return undefined
  return readState(text).catch(() => {
    throw new Unverifiable(`${file} does not hold a state`)
  })
}

/** Never leaves half a file behind. */
const remember = async (file: string, state: LogState) => {
  const next = `${file}.${randomUUID()}`
  await writeFile(next, `${writeState(state)}\n`)
  await rename(next, file)
}

const follow = async (base: string, trust: Trust) => {
  const known = values.state === undefined ? undefined : await remembered(values.state)
  const { checkpoint, state } = await followLog(sourceAt(base), trust, {
    remembered: known,
    recheck: values.recheck
  })
  if (values.state !== undefined) await remember(values.state, state)
  const since =
    known === undefined ? "from the first leaf on" : `extends the remembered ${known.head.size} leaves`
  say(`${checkpoint.origin}: ${checkpoint.size} leaves, ${since}`)
  const { witnesses = [] } = trust
  if (witnesses.length > 0) say(`cosigned by ${checkpoint.witnesses.length} of ${witnesses.length} witnesses`)
  return checkpoint
}

const sayEvent = ({ erased, index }: Awaited<ReturnType<typeof verifyEvent>>) =>
  say(`the event is leaf ${index}${erased ? "; its payload is erased" : ""}`)

/** The event's own proof, and that its checkpoint belongs to the log that was followed. */
const proveEvent = async (base: string, id: string, trust: Trust) => {
  const headers = { authorization: `Bearer ${process.env["CP_API_KEY"] ?? ""}` }
  const path = `${base}/api/events/${encodeURIComponent(id)}`
  const proven = await verifyEvent(await textAt(path, headers), await textAt(`${path}/proof`, headers), trust)
  sayEvent(proven)
  return proven.checkpoint
}

interface ConsistencyAnswer {
  readonly hashes: ReadonlyArray<string>
}

/** Which of the two is newer is not certain: replicas may serve an older checkpoint for a moment. */
const compare = async (base: string, trust: Trust, one: Checkpoint, other: Checkpoint) => {
  const [first, second] = one.size <= other.size ? [one, other] : [other, one]
  const answer = await textAt(`${base}/log/consistency?from=${first.size}&to=${second.size}`)
  const { hashes } = JSON.parse(answer) as ConsistencyAnswer // whatever it holds, the proof must verify
  const decoded = hashes.map((hash) => decodeBase64(hash) ?? new Uint8Array(0))
  await verifyConsistency(first, second, decoded).catch((error: unknown) => {
    throw error instanceof LogRefused
      ? new LogRefused(
          "FORK",
          `the event's checkpoint is not of the log of ${trust.key.name}: ${error.message}`
        )
      : error
  })
}

const run = async () => {
  const { event, proof, record, url, vkey } = values
  if (
    values.help ||
    vkey === undefined ||
    (url === undefined) === (proof === undefined || record === undefined)
  ) {
    throw new Unverifiable(USAGE)
  }
  const quorum = Number(values.quorum)
  if (!Number.isInteger(quorum) || quorum < 0 || quorum > values.witness.length) throw new Unverifiable(USAGE)
  const [key, ...witnesses] = await Promise.all([vkey, ...values.witness].map(keyOf))
  if (key === undefined) throw new Unverifiable(USAGE)
  const trust: Trust = { key, witnesses, quorum }
  if (url === undefined) {
    const [shown = "", proven = ""] = await Promise.all(
      [record, proof].map((file) => readFile(file ?? "", "utf8"))
    )
    return sayEvent(await verifyEvent(shown, proven, trust))
  }
  const base = url.replace(/\/+$/, "")
  const seen = event === undefined ? undefined : await proveEvent(base, event, trust)
  const now = await follow(base, trust)
  if (seen !== undefined) await compare(base, trust, seen, now)
}

await run().catch((error: unknown) => {
  if (error instanceof LogRefused) {
    process.stderr.write(`DO NOT BELIEVE THIS LOG: ${error.code}: ${error.message}\n`)
    process.exitCode = 1
    return
  }
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
})
