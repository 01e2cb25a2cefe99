import { Context } from "effect"
import type { Scope } from "./Scope.ts"

/** Who may call an endpoint. */
export type AccessRule =
  /** Everyone; a wrong credential is ignored, an API key makes the caller a platform principal. */
  | { readonly _tag: "public" }
  /** Holders of an enrollment token, which the handler checks and spends; the edge lets every request through. */
  | { readonly _tag: "enrollmentToken" }
  /** Platform principals, and credentials that hold one (`any`) or each (`all`) of the scopes. */
  | { readonly _tag: "scopes"; readonly need: "any" | "all"; readonly scopes: ReadonlyArray<Scope> }
  /** Platform principals only. */
  | { readonly _tag: "platform" }

/**
 * Annotation every endpoint must carry. There is no default and no inheritance from a group: an endpoint without it
 * stops the start, so that a forgotten one is never open.
 *
 * ```ts
 * HttpApiEndpoint.get("list", "/api/sessions", { … }).annotate(Access, anyOf("events:read"))
 * ```
 */
export class Access extends Context.Service<Access, AccessRule>()("cp/access/Access") {}

/** No credential. */
export const open: AccessRule = { _tag: "public" }

/** An enrollment token, checked by the handler. */
export const enrollmentToken: AccessRule = { _tag: "enrollmentToken" }

/** One of these scopes, or platform. */
export const anyOf = (...scopes: ReadonlyArray<Scope>): AccessRule => ({
  _tag: "scopes",
  need: "any",
  scopes
})

/** All of these scopes, or platform. */
export const allOf = (...scopes: ReadonlyArray<Scope>): AccessRule => ({
  _tag: "scopes",
  need: "all",
  scopes
})

/** Platform only. */
export const platform: AccessRule = { _tag: "platform" }

/** Whether the edge asks for a credential before it looks at anything else. */
export const isGated = (rule: AccessRule): boolean => rule._tag === "scopes" || rule._tag === "platform"
