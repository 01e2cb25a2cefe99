// Structural checks with the two outcomes the RFCs tell apart (RFC-AITP-0001 §7): an unknown member gets UNKNOWN_FIELD only
// when it is the sole defect, everything else the artifact's own code.

import { Result, Schema, SchemaIssue } from "effect"

interface StructureDefect {
  readonly unknownField: boolean
  /** Name of the top-level member at fault, when there is one. */
  readonly member: string | undefined
  /** Names the place and the expectation, never the value. */
  readonly message: string
}

const describe = SchemaIssue.makeFormatterStandardSchemaV1()

const defect = (unknownField: boolean, error: Schema.SchemaError): StructureDefect => {
  const [issue] = describe(error.issue).issues
  const path = (issue?.path ?? []).map((segment) =>
    String(typeof segment === "object" ? segment.key : segment)
  )
  const place = path.join(".").slice(0, 80).toWellFormed()
  return {
    unknownField,
    member: path[0],
    message: unknownField
      ? `unknown member ${place}`
      : `${place === "" ? "" : `${place}: `}${(issue?.message ?? "invalid").slice(0, 80)}`
  }
}

/** Compiles a schema into a reader that checks a parsed wire value and classifies the first defect. */
export const structureReader = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => {
  const exact = Schema.decodeUnknownResult(schema, { onExcessProperty: "error" })
  const loose = Schema.decodeUnknownResult(schema)
  return (value: unknown): Result.Result<S["Type"], StructureDefect> => {
    const read = exact(value)
    if (Result.isSuccess(read)) return Result.succeed(read.success)
    const lenient = loose(value)
    return Result.fail(
      Result.isFailure(lenient) ? defect(false, lenient.failure) : defect(true, read.failure)
    )
  }
}
