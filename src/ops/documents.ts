import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { AppConfig } from "../config.ts"
import * as Document from "../http/Document.ts"
import { catalogue } from "../wire/catalogue.ts"
import { NotFound } from "../wire/errors.ts"
import { iso } from "../wire/time.ts"
import { LINK_SET, OpsOnly } from "./api.ts"
import { ApiDocument } from "./ApiDocument.ts"
import { referencePage } from "./reference.ts"

const YEAR_MS = 365 * 86_400_000
const DAY_SECONDS = "max-age=86400"

/** RFC 9727: where the API is described and how its state is asked. */
const apiCatalog = (baseUrl: string) => ({
  linkset: [
    {
      anchor: `${baseUrl}/api`,
      "service-desc": [{ href: `${baseUrl}/openapi.json`, type: "application/json" }],
      "service-doc": [{ href: `${baseUrl}/docs`, type: "text/html" }],
      status: [{ href: `${baseUrl}/api/health`, type: "application/json" }]
    }
  ]
})

/** RFC 9116, with the mailbox RFC 2142 reserves; the date moves with each start: somebody still runs this. */
const securityTxt = (baseUrl: string, now: number) =>
  [
    `Contact: mailto:security@${new URL(baseUrl).hostname}`,
    `Expires: ${iso(now + YEAR_MS)}`,
    "Preferred-Languages: en",
    `Canonical: ${baseUrl}/.well-known/security.txt`,
    ""
  ].join("\n")

export const DocumentsHttp = HttpApiBuilder.group(
  OpsOnly,
  "documents",
  Effect.fn(function* (handlers) {
    const { baseUrl } = (yield* AppConfig).server
    const description = yield* ApiDocument
    const catalog = Document.make(JSON.stringify(apiCatalog(baseUrl)), {
      contentType: LINK_SET,
      cacheControl: DAY_SECONDS
    })
    const security = Document.make(securityTxt(baseUrl, Date.now()), {
      contentType: "text/plain; charset=utf-8",
      cacheControl: DAY_SECONDS
    })
    const reference = yield* referencePage(description.text)
    return handlers
      .handleRaw("openapi", ({ request }) => Effect.succeed(Document.respond(description.json, request)))
      .handleRaw("reference", ({ request }) =>
        Effect.map(reference, (page) => Document.respond(page, request))
      )
      .handleRaw("apiCatalog", ({ request }) => Effect.succeed(Document.respond(catalog, request)))
      .handleRaw("securityTxt", ({ request }) => Effect.succeed(Document.respond(security, request)))
      .handleRaw("error", ({ params }) => {
        const entry = catalogue.get(params.code)
        return entry === undefined
          ? Effect.fail(new NotFound({ error: "no such error code" }))
          : Effect.succeed(
              HttpServerResponse.jsonUnsafe({
                code: entry.code,
                status: entry.status,
                title: entry.title,
                description: entry.description
              })
            )
      })
  })
)
