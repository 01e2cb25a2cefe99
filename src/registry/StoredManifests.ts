import { Context, Effect, Layer } from "effect"
import { adminAct } from "../admin-audit/act.ts"
import type { AdminAct } from "../admin-audit/model.ts"
import { Db } from "../db/Db.ts"
import { Stale } from "../events/EventOwners.ts"
import { ledgerEvents, LOG_ID, type SealedEvent } from "../events/seal.ts"
import type { StoredManifest } from "./integrity.ts"
import { RegistryVersion } from "./RegistryVersion.ts"

/** Names the content of an agent's row, as far as its manifest is concerned. */
export interface FingerprintedAgent {
  readonly aid: string
  /** SHA-256; the same only for the same AID with the same manifest and reading of it. */
  readonly fingerprint: Uint8Array
}

/** Store of manifests as they are in the database, whether or not they still verify. */
export class StoredManifests extends Context.Service<
  StoredManifests,
  {
    /** Of agents that are not withheld, in order of AID, from behind `after` (empty: from the first). */
    readonly fingerprints: (after: string, limit: number) => Effect.Effect<ReadonlyArray<FingerprintedAgent>>
    /** Those of the given agents that still exist and are not withheld, in any order. */
    readonly read: (
      aids: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<StoredManifest & FingerprintedAgent & { readonly namespace: string }>>
    /** Withholds an agent, with event and audit row; false when its row is not the one that was read any more. */
    readonly withhold: (
      agent: FingerprintedAgent,
      events: ReadonlyArray<SealedEvent>,
      directoryVersion: number,
      act: AdminAct
    ) => Effect.Effect<boolean | Stale>
  }
>()("cp/registry/StoredManifests") {
  static readonly layer = Layer.effect(
    StoredManifests,
    Effect.gen(function* () {
      const { sql } = yield* Db
      const versions = yield* RegistryVersion

      const fingerprints = Effect.fn("StoredManifests.fingerprints")(function* (
        after: string,
        limit: number
      ) {
        return yield* sql<FingerprintedAgent>`
          select a.aid, agent_fingerprint_v1(a) as fingerprint from agents a
          where a.integrity_ok and a.aid > ${after}
          order by a.aid limit ${limit}::int`
      }, Effect.orDie)

      const read = Effect.fn("StoredManifests.read")(function* (aids: ReadonlyArray<string>) {
        return yield* sql<StoredManifest & FingerprintedAgent & { readonly namespace: string }>`
          select
            a.aid, a.key_alg, a.key_raw, a.display_name, a.handshake_endpoint, a.offered_caps, a.manifest_json,
            a.manifest_sha256, extract(epoch from a.manifest_published_at)::float8 as published_at,
            extract(epoch from a.manifest_expires_at)::float8 as expires_at, a.namespace,
            agent_fingerprint_v1(a) as fingerprint
          from agents a where a.integrity_ok and a.aid = any(${aids})`
      }, Effect.orDie)

      const withhold = Effect.fn("StoredManifests.withhold")(
        function* (
          { aid, fingerprint }: FingerprintedAgent,
          events: ReadonlyArray<SealedEvent>,
          directoryVersion: number,
          act: AdminAct
        ) {
          const [row] = yield* sql<{ readonly outcome: "ok" | "unchanged" | "changed" }>`
          select withhold_agent_v1(
            ${LOG_ID}::smallint, ${directoryVersion}::bigint, ${aid}, ${fingerprint}::bytea,
            (${ledgerEvents(sql, events)})[1], ${adminAct(sql, act)}) as outcome`
          return row?.outcome === "changed" ? new Stale() : row?.outcome === "ok"
        },
        Effect.ensuring(versions.changed),
        Effect.orDie
      )

      return { fingerprints, read, withhold }
    })
  )
}
