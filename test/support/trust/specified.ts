import { JsonSchema, Result, Schema, SchemaRepresentation } from "effect"
import { readVector } from "../aitp/vectors.ts"

/** The specification's schema of trust-anchors documents. */
const specified = SchemaRepresentation.fromJsonSchemaDocument(
  JsonSchema.fromSchemaDraft2020_12(readVector("schemas/aitp-trust-anchors.schema.json")),
  { patterns: "apply" }
)

const decode = Schema.decodeUnknownResult(specified as Schema.Codec<unknown>, { onExcessProperty: "error" })

/** What the specification's schema says of a document; undefined when it conforms. */
export const documentFault = (document: unknown): string | undefined => {
  const result = decode(JSON.parse(JSON.stringify(document)))
  return Result.isFailure(result) ? String(result.failure) : undefined
}
