import { type Cause, Option } from "effect"
import { SqlError } from "effect/sql"

/**
 * SQLSTATEs (or classes, given by their first two digits) that say that the database cannot serve now although the
 * request may be fine. The driver has a class of its own for few of them; the others arrive as UnknownError.
 */
const UNAVAILABLE: ReadonlySet<string> = new Set([
  "08", // connection exceptions
  "28", // the login was refused: a rotated password, a role not yet created
  "3D", // the database does not exist (yet)
  "53", // out of connections, memory or disk
  "25006", // read-only: a standby that is about to be promoted
  "25P03", // this process stopped inside a transaction and the server ended the session
  "40001", // serialisation failure and deadlock: nothing was written, the same request can succeed
  "40P01",
  "55000", // the database takes no connections now; no statement of ours asks for anything else that can give it
  "55P03", // lock_timeout
  "57014", // statement_timeout: see databaseUnavailable
  "57P01", // shutdown, crash, starting up, dropped, idle session ended
  "57P02",
  "57P03",
  "57P04",
  "57P05"
])

const sqlState = (reason: SqlError.SqlErrorReason): string | undefined => {
  const { cause } = reason
  return typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined
}

/**
 * Whether an error means "the database cannot serve this now, the same request may succeed later": no connection, no
 * free one within the wait limit, a server that stops, starts or is overloaded, and a limit of the session hit. A
 * statement timeout counts, because the statement was undone and its limit is far above what any request needs on a
 * healthy server; what a caller then wants to know is that repeating is safe. Everything else is a fault of ours.
 */
export const databaseUnavailable = (error: unknown): boolean => {
  if (!SqlError.isSqlError(error)) return false
  if (error.reason._tag === "ConnectionError") return true
  const code = sqlState(error.reason)
  return code !== undefined && (UNAVAILABLE.has(code) || UNAVAILABLE.has(code.slice(0, 2)))
}

/** What the server or the system said, without SQL text or parameters. */
export const reasonOf = ({ reason }: SqlError.SqlError): string =>
  reason.cause instanceof Error && reason.cause.message !== ""
    ? reason.cause.message
    : (reason.message ?? reason._tag)

/** The first error or defect of a cause that means an unavailable database, if there is one. */
export const findUnavailable = (cause: Cause.Cause<unknown>): Option.Option<SqlError.SqlError> => {
  for (const reason of cause.reasons) {
    const error = reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined
    if (SqlError.isSqlError(error) && databaseUnavailable(error)) return Option.some(error)
  }
  return Option.none()
}
