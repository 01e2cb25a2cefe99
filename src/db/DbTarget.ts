import { Context, Redacted } from "effect"

/** How to reach one database: a URL, or the parts (a host that starts with `/` is the folder of a unix socket). */
export type Address =
  | { readonly url: Redacted.Redacted<string> }
  | {
      readonly host: string
      readonly port: number
      readonly username: string
      readonly password: Redacted.Redacted<string>
      readonly database: string
    }

export interface Target {
  readonly address: Address
  /** Connections of the request pool. */
  readonly requestConnections: number
  /** Connections of the background pool. */
  readonly backgroundConnections: number
  /** Schema that every session works in; unset: the server's default. */
  readonly searchPath?: string
}

/** The database this process works on. */
export class DbTarget extends Context.Service<DbTarget, Target>()("cp/db/DbTarget") {}

/** Where the database is, for a log line: host, port, database and user, never the password. */
export const describeAddress = (address: Address): string => {
  if (!("url" in address))
    return `${address.database} at ${address.host}:${address.port} as ${address.username}`
  const url = new URL(Redacted.value(address.url))
  const given = (name: string, part: string) => url.searchParams.get(name) ?? decodeURIComponent(part)
  const user = given("user", url.username)
  const database = given("dbname", url.pathname.replace(/^\//, "")) || user || "the default database"
  const host = given("host", url.hostname) || "localhost"
  return `${database} at ${host}:${given("port", url.port) || "5432"}${user === "" ? "" : ` as ${user}`}`
}
