import { randomUUID } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { system } from "../../../src/access/Principal.ts"
import { Db } from "../../../src/db/Db.ts"
import { DelegationTrees } from "../../../src/delegations/DelegationTrees.ts"
import { Identity } from "../../../src/identity/Identity.ts"
import { CascadeAnnouncer } from "../../../src/revocation/CascadeAnnouncer.ts"
import { ListAnnouncer } from "../../../src/revocation/ListAnnouncer.ts"
import { ListPublisher } from "../../../src/revocation/ListPublisher.ts"
import type { Revocation } from "../../../src/revocation/model.ts"
import { PublicationClaims } from "../../../src/revocation/PublicationClaims.ts"
import { RevocationCascades } from "../../../src/revocation/RevocationCascades.ts"
import { RevocationEntries } from "../../../src/revocation/RevocationEntries.ts"
import { RevocationList } from "../../../src/revocation/RevocationList.ts"
import { RevocationLists } from "../../../src/revocation/RevocationLists.ts"
import { RevocationSigner } from "../../../src/revocation/RevocationSigner.ts"
import { Revoker } from "../../../src/revocation/Revoker.ts"
import { Tcts } from "../../../src/tcts/Tcts.ts"
import { Ledger } from "../events/Ledger.ts"
import { testConfig } from "../TestPlatform.ts"

const Stores = Layer.mergeAll(
  DelegationTrees.layer,
  Identity.layer,
  PublicationClaims.layer,
  RevocationCascades.layer,
  RevocationEntries.layer,
  RevocationLists.layer,
  Tcts.layer
)

const Operations = Layer.mergeAll(ListPublisher.layer, Revoker.layer).pipe(
  Layer.provideMerge(
    Layer.mergeAll(CascadeAnnouncer.layer, ListAnnouncer.layer, RevocationList.layer, RevocationSigner.layer)
  ),
  Layer.provideMerge(Stores)
)

/** Revocation over a migrated schema of the suite's own, without its loops. */
export const RevocationSuite = Operations.pipe(Layer.provideMerge(Ledger))

/** Another replica on the suite's database, for the scope, configured by these variables. */
export const replica = (env: Readonly<Record<string, string>> = {}) =>
  Layer.build(Layer.fresh(Operations).pipe(Layer.provide(Layer.fresh(testConfig(env)))))

/** The replica's part of a context, for what needs more than one service. */
export const on =
  <R>(replica: Context.Context<R>) =>
  <A, E, R2>(effect: Effect.Effect<A, E, R2 | R>) =>
    Effect.provideContext(effect, replica)

/** Revokes as an operator, at this time unless another is given. */
export const revoke = Effect.fnUntraced(function* (given: Partial<Revocation> = {}) {
  const revoker = yield* Revoker
  return yield* revoker.revoke(
    { jti: randomUUID(), reason: null, issuer: undefined, revokedAt: new Date(), ...given },
    { principal: system, requestId: "tests", reservation: undefined }
  )
})

/** An entry that came into the table without the operation, as thousands do in a moment. */
export const insertEntries = Effect.fnUntraced(function* (count: number, reason: string | null = null) {
  const { sql } = yield* Db
  yield* sql`
    insert into revocation_entries (jti, issuer_given, revoked_at, reason, actor_id, event_seq, created_at)
    select
      gen_random_uuid(), false, date_trunc('milliseconds', clock_timestamp()) - n * interval '137 seconds', ${reason},
      'tests', 0, date_trunc('milliseconds', clock_timestamp())
    from generate_series(1, ${count}::int) as n`
})

/** Makes the newest list older, so that it is due and another may follow at once. */
export const aged = (secs: number) =>
  Effect.flatMap(
    Db,
    ({ sql }) => sql`
      with list as (update revocation_lists set published_at = published_at - ${secs}::int)
      update revocation_publication set published_at = published_at - ${secs}::int`
  )
