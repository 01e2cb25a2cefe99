import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Access, open } from "../access/Access.ts"
import { HandshakeNotSupported, Unavailable } from "../wire/errors.ts"
import { Conditional } from "../wire/headers.ts"

const OwnManifest = Schema.Struct({
  /** Signed manifest of this service (RFC-AITP-0003 §3); it accepts no peer. */
  manifest: Schema.Unknown
}).annotate({ identifier: "OwnManifest" })

const manifest = <const Name extends string, const Path extends `/${string}`>(name: Name, path: Path) =>
  HttpApiEndpoint.get(name, path, { success: OwnManifest, error: Unavailable })
    .annotate(Access, open)
    .annotate(Conditional, true)
    .annotateMerge(OpenApi.annotations({ summary: "The service's own signed manifest" }))

const HELLO = "/api/aitp/handshake/hello"
const refused = { success: Schema.Never, error: HandshakeNotSupported }
const noHandshake = OpenApi.annotations({ summary: "The service takes no part in handshakes" })

/** The service as an AITP identity. */
export const IdentityApi = HttpApiGroup.make("identity")
  .add(
    manifest("manifest", "/.well-known/aitp-manifest"),
    manifest("manifestAlias", "/api/well-known/aitp-manifest"),
    HttpApiEndpoint.get("helloGet", HELLO, refused).annotate(Access, open).annotateMerge(noHandshake),
    HttpApiEndpoint.post("helloPost", HELLO, refused).annotate(Access, open).annotateMerge(noHandshake),
    HttpApiEndpoint.put("helloPut", HELLO, refused).annotate(Access, open).annotateMerge(noHandshake),
    HttpApiEndpoint.patch("helloPatch", HELLO, refused).annotate(Access, open).annotateMerge(noHandshake),
    HttpApiEndpoint.delete("helloDelete", HELLO, refused).annotate(Access, open).annotateMerge(noHandshake)
  )
  .annotateMerge(OpenApi.annotations({ title: "Identity" }))
