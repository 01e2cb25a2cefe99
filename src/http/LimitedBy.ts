import { Context } from "effect"

/** What the requests to a path are counted by. */
export type LimitRule =
  /** By the caller: its API key, else its address. */
  | "caller"
  /** By the caller's address, whatever key it has, in the bucket of enrolment. */
  | "enroll-ip"
  /** Not at all. */
  | "none"

/** Annotation of an endpoint under `/api` that is not limited as usual; it holds for every method of its path. */
export const LimitedBy = Context.Reference<LimitRule>("cp/http/LimitedBy", {
  defaultValue: () => "caller"
})
