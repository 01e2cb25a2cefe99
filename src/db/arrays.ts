import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"

/**
 * Array parameters with a stated element type: the driver cannot infer one from an empty array, or from one that holds
 * nothing but nulls.
 */
const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

/** A `text[]` parameter. */
export const textArray = (values: ReadonlyArray<string | null>) => array(values, PgTypes.OID.text)

/** A `bytea[]` parameter. */
export const byteaArray = (values: ReadonlyArray<Uint8Array | null>) => array(values, PgTypes.OID.bytea)
