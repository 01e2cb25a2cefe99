import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { listOf } from "../../../support/service/revocations.ts"
import { listFault } from "../../../support/service/verify-list.ts"
import type { World } from "../World.ts"
import type { Stored } from "./ledger.ts"

/** Every acknowledged revocation is on every replica's list, announced once; versions only grow, and none lifts anything. */
export const judgeRevocations = (
  world: World,
  sql: SqlClient.SqlClient,
  ledger: ReadonlyArray<Stored>
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { journal, replicas } = world
    const announced = new Map<string, number>()
    for (const { payload, source, type } of ledger) {
      if (source !== "cp" || type !== "tct.revoked") continue
      const { jti } = payload as { readonly jti: string }
      announced.set(jti, (announced.get(jti) ?? 0) + 1)
    }
    for (const [jti, n] of announced) {
      if (n !== 1) journal.violated("a revocation is announced once", `${jti}: ${n} times`)
      if (!journal.revocations.has(jti)) journal.violated("nobody revokes but operators", jti)
    }
    for (const [jti, { certainty }] of journal.revocations)
      if (certainty === "acknowledged" && !announced.has(jti))
        journal.violated("what was revoked is in the ledger", jti)

    for (const replica of replicas) {
      const { entries } = yield* listOf(replica)
      const listed = new Map(entries.map(({ jti, reason }) => [jti, reason]))
      for (const [jti, { certainty, reason }] of journal.revocations) {
        if (certainty === "acknowledged" && listed.get(jti) !== reason)
          journal.violated(
            "every list names everything revoked",
            `replica ${replica.name}: ${jti} is listed with ${listed.get(jti)}`
          )
      }
      for (const jti of listed.keys())
        if (!announced.has(jti)) journal.violated("lists name only what was revoked", jti)
    }

    const versions = yield* sql<{
      readonly version: number
      readonly at: number
      readonly entries: number
      readonly body: string | null
    }>`
      select version::int as version, published_at::float8 as at, entries, body from revocation_lists l order by l.version`
    for (const [index, { at, body, entries, version }] of versions.entries()) {
      const before = versions[index - 1]
      if (version !== index + 1) journal.violated("versions of the list have no hole", String(version))
      if (before !== undefined && (at <= before.at || entries < before.entries))
        journal.violated(
          "versions of the list only grow",
          `${version} is of ${at} with ${entries} entries, the one before of ${before.at} with ${before.entries}`
        )
      const fault = body === null ? undefined : listFault(body)
      if (fault !== undefined) journal.violated("every published version verifies", `${version}: ${fault}`)
    }
    const [lifted] = yield* sql<{ readonly n: number }>`
      select count(*)::int as n from revocation_list_changes where op = '-'`
    if (lifted?.n !== 0) journal.violated("no revocation is lifted", `${lifted?.n} left the list`)
  })
