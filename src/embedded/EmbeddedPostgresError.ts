import { Effect, Schema } from "effect"

/** The local server cannot be had; `message` tells the operator why and what to do, on one or more lines. */
export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()(
  "EmbeddedPostgresError",
  {
    message: Schema.String,
    cause: Schema.optional(Schema.Defect())
  }
) {}

const because = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

/** Runs file or process work that throws; `doing` completes "the local Postgres server: cannot …". */
export const attempt = <A>(doing: string, work: () => A | Promise<A>) =>
  Effect.tryPromise({
    try: async () => work(),
    catch: (cause) =>
      new EmbeddedPostgresError({
        message: `the local Postgres server: cannot ${doing}: ${because(cause)}`,
        cause
      })
  })
