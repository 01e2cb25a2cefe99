import { Clock, Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api.ts"
import * as Document from "../http/Document.ts"
import { HandshakeNotSupported, Unavailable } from "../wire/errors.ts"
import { OwnManifest } from "./OwnManifest.ts"

/** Longest time a client may keep the manifest, seconds. */
const MAX_AGE_SECS = 3600

const refuse = () => Effect.fail(new HandshakeNotSupported({}))

export const IdentityHttp = HttpApiBuilder.group(
  Api,
  "identity",
  Effect.fn(function* (handlers) {
    const manifests = yield* OwnManifest

    const manifest = Effect.fnUntraced(function* ({
      request
    }: {
      readonly request: HttpServerRequest.HttpServerRequest
    }) {
      const current = yield* manifests.current
      if (Option.isNone(current)) return yield* new Unavailable({ error: "no valid manifest at hand" })
      const { body, expiresAt } = current.value
      const halfOfTheRest = Math.floor((expiresAt.getTime() - (yield* Clock.currentTimeMillis)) / 2000)
      const cacheControl = `max-age=${Math.min(MAX_AGE_SECS, halfOfTheRest)}`
      return Document.respond(Document.make(body, { cacheControl }), request)
    })

    return handlers
      .handleRaw("manifest", manifest)
      .handleRaw("manifestAlias", manifest)
      .handleRaw("helloGet", refuse)
      .handleRaw("helloPost", refuse)
      .handleRaw("helloPut", refuse)
      .handleRaw("helloPatch", refuse)
      .handleRaw("helloDelete", refuse)
  })
)
