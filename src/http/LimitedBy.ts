import { Context } from "effect"
import { type AccessRule, isGated } from "../access/Access.ts"
import { isApiPath } from "./Target.ts"

/** What the requests to a path are counted by. */
export type LimitRule =
  /** By the caller: its API key, else its address. */
  | "caller"
  /** By the caller's address, whatever key it has, in the bucket of enrolment. */
  | "enroll-ip"
  /** Not at all. */
  | "none"

/** Annotation of an endpoint that is not limited as usual; it holds for every method of its path. */
export const LimitedBy = Context.Reference<LimitRule>("cp/http/LimitedBy", {
  defaultValue: () => "caller"
})

/** How an endpoint is limited: outside `/api` only what needs a credential is. */
export const limitRuleOf = (
  path: string,
  access: AccessRule,
  annotations: Context.Context<never>
): LimitRule => (isApiPath(path) || isGated(access) ? Context.get(annotations, LimitedBy) : "none")
