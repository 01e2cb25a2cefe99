import { Effect } from "effect"
import { createHash } from "node:crypto"
import { createServer } from "node:net"
import { readIfPresent } from "./durableFile.ts"

const LOWEST = 25_000
const RANGE = 7000

const isFree = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const probe = createServer()
    probe.once("error", () => resume(Effect.succeed(false)))
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () =>
      probe.close(() => resume(Effect.succeed(true)))
    )
  })

/**
 * A free loopback port: that of the last start if possible, else one that follows from the folder, below the range
 * from which systems take the ports of outgoing connections. `taken` are ports that turned out not to be free.
 */
export const choosePort = Effect.fnUntraced(function* (
  folder: string,
  portFile: string,
  taken: ReadonlySet<number>
) {
  const last = Number(readIfPresent(portFile))
  const first = createHash("sha256").update(folder).digest().readUInt16BE() % RANGE
  const candidates = [last, ...Array.from({ length: 200 }, (_, i) => LOWEST + ((first + i) % RANGE))]
  for (const port of candidates)
    if (Number.isInteger(port) && port > 0 && !taken.has(port) && (yield* isFree(port))) return port
  return LOWEST + first
})
