import { Context } from "effect"

/** A header as the API description tells it. */
export interface Header {
  readonly name: string
  readonly description: string
  /** JSON Schema of its value; a text unless given. */
  readonly schema?: Readonly<Record<string, unknown>>
}

/** Annotation of an endpoint: headers of requests that change its answer, beside those that every endpoint reads. */
export const RequestHeaders = Context.Reference<ReadonlyArray<Header>>("cp/wire/RequestHeaders", {
  defaultValue: () => []
})

/** Annotation of an endpoint: headers that its successful answers may have, beside those that every answer has. */
export const ResponseHeaders = Context.Reference<ReadonlyArray<Header>>("cp/wire/ResponseHeaders", {
  defaultValue: () => []
})

/** Annotation of an endpoint: it answers with a strong `ETag`, and with 304 to who has that version already. */
export const Conditional = Context.Reference<boolean>("cp/wire/Conditional", { defaultValue: () => false })

/** Headers of exports: of the JSON document, and of the lines, which are meant to be saved. */
export const EXPORT_HEADERS: ReadonlyArray<Header> = [
  { name: "Content-Digest", description: "SHA-256 of the JSON document (RFC 9530)." },
  { name: "Content-Disposition", description: "Name of the file, with `format=jsonl`." }
]
