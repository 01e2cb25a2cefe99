import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import { type ApiDescription, type JsonSchema, token } from "./description.ts"

/** Why a value is not what a schema describes; undefined when it is. */
export type Fault = (value: unknown) => string | undefined

const explain = (errors: ReadonlyArray<ErrorObject> | null | undefined): string =>
  (errors ?? [])
    .slice(0, 5)
    .map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`)
    .join("; ")

// The dialect of OpenAPI 3.1 is JSON Schema 2020-12; `strict` would refuse the keywords that OpenAPI adds to it.
const makeAjv = () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  return ajv
}

/** Validators of the schemas in a document, by their JSON pointer; compiled once each. */
export const schemasOf = (description: ApiDescription): ((pointer: string) => Fault) => {
  const ajv = makeAjv()
  ajv.addSchema(description, "api")
  const known = new Map<string, Fault>()
  return (pointer) => {
    const found = known.get(pointer)
    if (found !== undefined) return found
    const validate = ajv.getSchema(`api#${pointer}`)
    if (validate === undefined) throw new Error(`no schema at ${pointer}`)
    const fault: Fault = (value) => (validate(value) === true ? undefined : explain(validate.errors))
    known.set(pointer, fault)
    return fault
  }
}

/** Pointer of the schema of a body, below a response or a request body. */
export const contentPointer = (base: string, mediaType: string): string =>
  `${base}/content/${token(mediaType)}/schema`

/** Validator of a schema that refers to no other. */
export const schemaOf = (schema: JsonSchema): Fault => {
  const validate = makeAjv().compile(schema)
  return (value) => (validate(value) ? undefined : explain(validate.errors))
}
