import { Effect, Layer, Scope } from "effect"
import { HttpRouter, HttpServerRequest } from "effect/http"
import { HttpApi, HttpApiSwagger, OpenApi } from "effect/http-api"
import * as Document from "../http/Document.ts"

const PATH = "/docs"

/** The page holds its script, its style and the document; a browser may load nothing, and call only this service. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'unsafe-inline'",
  "style-src 'unsafe-inline'",
  "img-src data:",
  "font-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

/**
 * The reference page: effect's bundled Swagger UI around our own description. The bundle is two megabytes, so it is
 * loaded when the page is first asked for.
 */
export const referencePage = Effect.fnUntraced(function* (description: string) {
  const described = HttpApi.make("reference").annotate(
    OpenApi.Transform,
    () => JSON.parse(description) as Record<string, unknown> // our own text of an object
  )
  const scope = yield* Effect.scope
  const render = Effect.gen(function* () {
    // a router of its own: the one that serves the application has this path already
    const router = yield* HttpRouter.make
    yield* Effect.provideService(
      Layer.build(HttpApiSwagger.layer(described, { path: PATH })),
      HttpRouter.HttpRouter,
      router
    )
    const request = HttpServerRequest.fromWeb(new Request(`http://localhost${PATH}`))
    const { body } = yield* Effect.provideService(
      router.asHttpEffect(),
      HttpServerRequest.HttpServerRequest,
      request
    )
    if (body._tag !== "Uint8Array") return yield* Effect.die("the reference page is not a text")
    return Document.make(new TextDecoder().decode(body.body), {
      contentType: "text/html; charset=utf-8",
      headers: { "content-security-policy": CONTENT_SECURITY_POLICY, "referrer-policy": "no-referrer" }
    })
  })
  return yield* Effect.cached(Effect.orDie(Scope.provide(render, scope)))
})
