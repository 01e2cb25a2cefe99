import { Context } from "effect"

/** Largest request body of most routes, in bytes. */
export const DEFAULT_BODY_LIMIT = 65_536

/** Annotation of an endpoint whose bodies may be larger or must be smaller, in bytes. */
export const BodyLimit = Context.Reference<number>("cp/http/BodyLimit", {
  defaultValue: () => DEFAULT_BODY_LIMIT
})
