import { Context, Schema } from "effect"
import * as FindMyWay from "effect/http/FindMyWay"
import { HttpApi, type HttpApiGroup } from "effect/http-api"
import { Access, type AccessRule } from "../access/Access.ts"
import { BodyLimit } from "./BodyLimit.ts"
import { type LimitRule, limitRuleOf } from "./LimitedBy.ts"

/** What the edge knows about an endpoint before it runs. */
export interface Route {
  /** `METHOD /template`. */
  readonly key: string
  readonly method: string
  /** Path with `:parameters` as declared; the label of metrics and log lines. */
  readonly template: string
  readonly access: AccessRule
  /** Largest body in bytes. */
  readonly bodyLimit: number
  readonly limitedBy: LimitRule
}

/** All endpoints of one path. */
export interface Resource {
  readonly template: string
  readonly byMethod: ReadonlyMap<string, Route>
  /** Value of the `Allow` header. */
  readonly allow: string
  /** What any of its endpoints says; other methods count alike. */
  readonly limitedBy: LimitRule
}

/** An endpoint says nothing about who may call it; the service does not start. */
export class AccessMissing extends Schema.TaggedError<AccessMissing>()("AccessMissing", {
  /** `METHOD /path` of each such endpoint. */
  endpoints: Schema.Array(Schema.String)
}) {
  override get message() {
    return `no Access annotation on ${this.endpoints.join(", ")}`
  }
}

/**
 * How paths are told apart, for this table and for the router behind it: exactly as written. The bound on parameters
 * is the one of Node's request line, so that it never refuses first.
 */
export const routerConfig: FindMyWay.RouterConfig = {
  ignoreTrailingSlash: false,
  ignoreDuplicateSlashes: false,
  caseSensitive: true,
  maxParamLength: 65_536
}

/** Static table of every endpoint, built once from the API definition. */
export interface RouteTable {
  readonly routes: ReadonlyArray<Route>
  /** Resource of a request path (without query); undefined when no endpoint has it. */
  readonly find: (path: string) => Resource | undefined
}

const ALLOW_ORDER = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

const allowOf = (methods: Iterable<string>): string => {
  const allowed = new Set(methods)
  if (allowed.has("GET")) allowed.add("HEAD")
  return [...ALLOW_ORDER.filter((method) => allowed.has(method)), "OPTIONS"].join(", ")
}

const routesOf = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): ReadonlyArray<Route> => {
  const routes: Array<Route> = []
  const unannotated: Array<string> = []
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const access = Context.getOrUndefined(endpoint.annotations, Access)
      if (access === undefined) {
        unannotated.push(`${endpoint.method} ${endpoint.path}`)
        return
      }
      routes.push({
        key: `${endpoint.method} ${endpoint.path}`,
        method: endpoint.method,
        template: endpoint.path,
        access,
        bodyLimit: Context.get(endpoint.annotations, BodyLimit),
        limitedBy: limitRuleOf(endpoint.path, access, endpoint.annotations)
      })
    }
  })
  if (unannotated.length > 0) throw new AccessMissing({ endpoints: unannotated })
  return routes
}

/** Throws `AccessMissing` when an endpoint has no access rule. */
export const make = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>
): RouteTable => {
  const routes = routesOf(api)
  const resources = new Map<string, Array<Route>>()
  for (const route of routes) {
    const shape = route.template.replace(/:\w+/g, ":")
    resources.set(shape, [...(resources.get(shape) ?? []), route])
  }
  const matcher = FindMyWay.make<Resource>(routerConfig)
  for (const [first, ...others] of resources.values()) {
    if (first === undefined) continue
    const byMethod = new Map([first, ...others].map((route) => [route.method, route]))
    const get = byMethod.get("GET")
    if (get !== undefined) byMethod.set("HEAD", get)
    const path = first.template as FindMyWay.PathInput // paths of endpoints start with a slash by their type
    matcher.on("ANY", path, {
      template: first.template,
      byMethod,
      allow: allowOf(byMethod.keys()),
      limitedBy: [first, ...others].find(({ limitedBy }) => limitedBy !== "caller")?.limitedBy ?? "caller"
    })
  }
  return {
    routes,
    find: (path) =>
      // a parameter may match nothing at all, which would make a trailing slash a known route
      (path.endsWith("/") && path !== "/") || path.includes("//")
        ? undefined
        : matcher.find("ANY", path)?.handler
  }
}
