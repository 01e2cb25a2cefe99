import { Effect, Redacted } from "effect"
import { Db } from "../../../../src/db/Db.ts"
import { DbTarget } from "../../../../src/db/DbTarget.ts"
import { contributionsOf } from "../../../support/projections/contributions.ts"
import { expectedState, type ProjectedState, type StoredReport } from "../../../support/projections/model.ts"
import { comparable, storedState } from "../../../support/projections/stored.ts"
import type { World } from "../World.ts"
import type { Stored } from "./ledger.ts"

const NOTHING: StoredReport["contributions"] = {
  session: undefined,
  tcts: [],
  delegations: [],
  revocation: undefined
}

/** What the model is computed from: the reports that were stored, as they were sent, and what operators revoked. */
const reportsOf = (world: World, ledger: ReadonlyArray<Stored>): ReadonlyArray<StoredReport> =>
  ledger.flatMap(({ id, payload, source, ts, type }): ReadonlyArray<StoredReport> => {
    const sent = world.journal.items.get(id)
    if (sent !== undefined) return [{ id, ts, contributions: contributionsOf(sent.item) }]
    if (source !== "cp" || type !== "tct.revoked") return []
    const { jti, reason } = payload as { readonly jti: string; readonly reason: string | null }
    return [{ id, ts, contributions: { ...NOTHING, revocation: { jti, reason } } }]
  })

const differences = (got: ReadonlyArray<unknown>, wanted: ReadonlyArray<unknown>): string | undefined => {
  const has = new Set(got.map((each) => JSON.stringify(each)))
  const wants = new Set(wanted.map((each) => JSON.stringify(each)))
  const missing = [...wants].find((each) => !has.has(each))
  const extra = [...has].find((each) => !wants.has(each))
  if (missing === undefined && extra === undefined && got.length === wanted.length) return undefined
  return `${got.length} rows instead of ${wanted.length}; wanted ${missing}, got ${extra}`
}

/** Sessions, tokens, delegations and revocations are what the model computes from the stored events. */
export const judgeProjections = (world: World, ledger: ReadonlyArray<Stored>): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const wanted = comparable(expectedState(reportsOf(world, ledger)))
    const got = yield* storedState
    for (const kind of ["sessions", "tcts", "delegations", "lost", "facts"] satisfies ReadonlyArray<
      keyof ProjectedState
    >) {
      const difference = differences(got[kind], wanted[kind])
      if (difference !== undefined)
        world.journal.violated("projections are what the events say", `${kind}: ${difference}`)
    }
  }).pipe(
    Effect.provide(Db.layer),
    Effect.provideService(DbTarget, {
      address: { url: Redacted.make(world.databaseUrl) },
      requestConnections: 2,
      backgroundConnections: 1
    })
  )
