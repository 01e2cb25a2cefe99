import { Effect, Schema } from "effect"
import { randomBytes } from "node:crypto"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { makePrivateFolder, readIfPresent, writeDurably } from "./durableFile.ts"
import { attempt, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { identify } from "./processes.ts"

/** The note that a process leaves in the folder while it uses the data or wants to. */
const Claim = Schema.fromJsonString(
  Schema.Struct({ pid: Schema.Int, started: Schema.String, confirmed: Schema.Boolean })
)
type Claim = typeof Claim.Type
const decode = Schema.decodeUnknownOption(Claim)

const rivals = (folder: string, own: string): ReadonlyArray<Claim> => {
  const living: Array<Claim> = []
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".json") && each !== own)) {
    const claim = decode(readIfPresent(join(folder, name)))
    if (claim._tag === "Some" && identify(claim.value.pid)?.started === claim.value.started)
      living.push(claim.value)
    else rmSync(join(folder, name), { force: true })
  }
  return living
}

const refusal = (home: string, pid: number) =>
  new EmbeddedPostgresError({
    message:
      `process ${pid} already runs the local Postgres server in ${home}. ` +
      `To run a second service on the same data, start it with\n` +
      `  DATABASE_URL="$(cat '${join(home, "database-url")}')"`
  })

/**
 * Makes this process the only one that uses the data in `home`, until the scope closes or the process dies in any
 * way. Everyone writes a claim before looking at the others, so of two that come together at least one sees the
 * other; a claim counts only while the very process that wrote it lives.
 */
export const claimOwnership = Effect.fnUntraced(function* (home: string) {
  const folder = join(home, "owners")
  const started = identify(process.pid)?.started ?? ""
  const own = `${process.pid}-${randomBytes(4).toString("hex")}.json`
  const write = (confirmed: boolean) =>
    writeDurably(join(folder, own), JSON.stringify({ pid: process.pid, started, confirmed } satisfies Claim))
  const withdraw = () => rmSync(join(folder, own), { force: true })

  const claim = attempt(`write to ${folder}`, () => {
    makePrivateFolder(folder)
    write(false)
    const others = rivals(folder, own)
    if (others.length === 0) {
      write(true)
      return undefined
    }
    withdraw()
    return others.find((other) => other.confirmed) ?? others[0]
  })

  for (let round = 1; ; round++) {
    const rival = yield* Effect.acquireRelease(claim, () => Effect.sync(withdraw))
    if (rival === undefined) return
    if (rival.confirmed || round === 20) return yield* refusal(home, rival.pid)
    // Both came at the same moment and both stepped back: let chance put one first.
    yield* Effect.sleep(20 + Math.random() * 100)
  }
})
