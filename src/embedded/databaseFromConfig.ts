import { Context, Effect, Layer, Option } from "effect"
import { AppConfig } from "../config.ts"
import { DbTarget, type Target } from "../db/DbTarget.ts"
import { startEmbeddedPostgres } from "./EmbeddedPostgres.ts"
import type { SecretFiles } from "./secrets.ts"

/** Where development secrets outlive a restart: beside the data of the embedded server, none with an own database. */
export class LocalSecrets extends Context.Service<LocalSecrets, Option.Option<SecretFiles>>()(
  "cp/embedded/LocalSecrets"
) {}

/** The database that the configuration names, or the embedded server while it names none. */
export const databaseFromConfig = Layer.effectContext(
  Effect.gen(function* () {
    const { database } = yield* AppConfig
    const provide = (address: Target["address"], secrets: Option.Option<SecretFiles>) =>
      Context.make(DbTarget, {
        address,
        requestConnections: database.requestConnections,
        backgroundConnections: database.backgroundConnections
      }).pipe(Context.add(LocalSecrets, secrets))

    if (database.url !== undefined) return provide({ url: database.url }, Option.none())
    const server = yield* startEmbeddedPostgres({ directory: database.embeddedDir })
    yield* Effect.logInfo(
      `DATABASE_URL is not set: using the local Postgres server in ${server.home}; its URL is in ${server.home}/database-url`
    )
    return provide(server.address, Option.some(server.secrets))
  })
)
