import { Deferred, Effect, Layer, Option } from "effect"
import * as Dns from "effect/net/Dns"
import { visibleToAll } from "../../../src/access/Visibility.ts"
import { canonicalKey } from "../../../src/aitp/aid.ts"
import {
  type RevocationList,
  signRevocationList,
  type SnapshotForm
} from "../../../src/aitp/revocation-list.ts"
import { Db } from "../../../src/db/Db.ts"
import { DelegationTrees } from "../../../src/delegations/DelegationTrees.ts"
import { Egress } from "../../../src/egress/Egress.ts"
import { IssuerLists } from "../../../src/issuer-lists/IssuerLists.ts"
import { IssuerRevocations } from "../../../src/issuer-lists/IssuerRevocations.ts"
import { ListChecker } from "../../../src/issuer-lists/ListChecker.ts"
import { ListMirror } from "../../../src/issuer-lists/ListMirror.ts"
import { type Lease, Leases } from "../../../src/jobs/Leases.ts"
import { makeAgent, type TestAgent } from "../aitp/agent.ts"
import { mintManifest } from "../aitp/mint-manifest.ts"
import { ProjectedLedger } from "../projections/ledger.ts"
import { testPlatform } from "../TestPlatform.ts"

/** A replica's mirror over the stores of the suite; the given variables. */
export const mirrorWith = (env: Readonly<Record<string, string>>) =>
  ListMirror.layer.pipe(
    Layer.provideMerge(Leases.layer),
    Layer.provide(ListChecker.layer),
    Layer.provide(Egress.layerNoDeps),
    Layer.provide(Dns.layerStatic({ hosts: { "issuer.test": ["127.0.0.1"] } })),
    Layer.provide(testPlatform({ LEASE_SECS: "2", ...env })),
    Layer.fresh
  )

/** As a replica runs that may reach issuers on loopback. */
export const nearby = {
  REVOCATION_MIRROR_ENABLED: "true",
  REVOCATION_MIRROR_ALLOW_CIDRS: "127.0.0.0/8",
  REVOCATION_MIRROR_TIMEOUT_MS: "1000"
}

/** The mirror, the ledger and what it projects, over a migrated schema of the suite's own. */
export const MirrorSuite = mirrorWith(nearby).pipe(
  Layer.provideMerge(Layer.mergeAll(DelegationTrees.layer, IssuerLists.layer, IssuerRevocations.layer)),
  Layer.provideMerge(ProjectedLedger)
)

/** The lease of the mirror, until the scope closes. */
const lease = Effect.gen(function* () {
  const leases = yield* Leases
  const taken = yield* Deferred.make<Lease>()
  yield* Effect.forkScoped(
    leases.hold("issuer-lists", (held) => Effect.andThen(Deferred.succeed(taken, held), Effect.never))
  )
  return yield* Deferred.await(taken)
})

/** Does something as the replica that mirrors. */
export const leading = <A, E, R>(job: (held: Lease) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.flatMap(lease, job))

/** Fetches what is due; the count of attempts. */
export const runOnce = Effect.flatMap(ListMirror, (mirror) => leading(mirror.runOnce))

/** Registers an agent whose manifest names its list there, past the registry. */
export const registered = Effect.fnUntraced(function* (uri: unknown, agent: TestAgent = makeAgent()) {
  const { sql } = yield* Db
  const { manifest, text } = mintManifest(agent, {
    extensions: { "rfc-aitp-0008.revocation_list_uri": uri },
    published_at: Math.floor(Date.now() / 1000) - 60
  })
  const key = canonicalKey(agent.aid)
  yield* sql`
    insert into agents (
      aid, key_alg, key_raw, display_name, handshake_endpoint, offered_caps, manifest_json, manifest_sha256,
      manifest_published_at, manifest_expires_at, verified_at, status, namespace, registered_at, last_enrolled_at)
    values (
      ${agent.aid}, ${key.alg}, ${key.raw}::bytea, 'issuer', ${manifest.handshake_endpoint}, '[]', ${text},
      sha256(convert_to(${text}, 'UTF8')), to_timestamp(${manifest.published_at}::float8),
      to_timestamp(${manifest.expires_at}::float8), clock_timestamp(), 'active', 'default', clock_timestamp(),
      clock_timestamp())
    on conflict (aid) do update set
      manifest_json = excluded.manifest_json, manifest_sha256 = excluded.manifest_sha256,
      manifest_expires_at = excluded.manifest_expires_at`
  return agent
})

export const nowSecs = () => Math.floor(Date.now() / 1000)

/** Ids as entries, revoked a minute ago. */
export const entriesOf = (jtis: ReadonlyArray<string>) =>
  jtis.map((jti) => ({ jti, revoked_at: nowSecs() - 60 }))

/** The text of a list as its issuer signs it, good for an hour unless told otherwise. */
export const listText = (
  agent: TestAgent,
  jtis: ReadonlyArray<string>,
  overrides: Partial<RevocationList> = {},
  form?: SnapshotForm
): string =>
  JSON.stringify(
    signRevocationList(
      {
        version: "aitp/0.2",
        issuer: agent.aid,
        published_at: nowSecs(),
        expires_at: nowSecs() + 3600,
        entries: entriesOf(jtis),
        ...overrides
      },
      agent,
      form
    )
  )

/** Makes an agent's list due, as time would. */
export const makeDue = ({ aid }: TestAgent) =>
  Effect.flatMap(Db, ({ sql }) => sql`update issuer_lists set due_at = clock_timestamp() where aid = ${aid}`)

/** Fetches an agent's list again. */
export const again = (agent: TestAgent) => Effect.andThen(makeDue(agent), runOnce)

/** An agent's list as it is now. */
export const current = ({ aid }: TestAgent) =>
  Effect.flatMap(IssuerLists, ({ findByAid }) => Effect.map(findByAid(aid, visibleToAll), Option.getOrThrow))

/** The text of the copy; undefined while there is none. */
export const copyText = ({ aid }: TestAgent) =>
  Effect.flatMap(IssuerLists, ({ readCopy }) =>
    Effect.map(readCopy(aid), (copy) =>
      Option.getOrUndefined(Option.map(copy, ({ body }) => Buffer.from(body).toString("utf8")))
    )
  )
