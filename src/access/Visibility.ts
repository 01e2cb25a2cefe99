/**
 * What a caller may see. Every store method that reads takes one, so that no read can be written without deciding
 * it, and cursors and caches carry `visibilityKey` so that they never cross callers.
 */
export type Visibility =
  /** Every organisation's rows: platform principals, jobs, and public discovery while all organisations are open. */
  | { readonly _tag: "all" }
  /** Only rows that belong to one of these organisations. */
  | { readonly _tag: "orgs"; readonly orgIds: ReadonlyArray<OrgId> }

/** UUID of an organisation, lower case. */
export type OrgId = string

/** Owns every namespace that nobody claimed; with no other organisation everything belongs to it. */
export const DEFAULT_ORG: OrgId = "00000000-0000-8000-8000-000000000001"

export const visibleToAll: Visibility = { _tag: "all" }

/** Stable text of a visibility, for cache and cursor keys. */
export const visibilityKey = (visibility: Visibility): string =>
  visibility._tag === "all" ? "all" : visibility.orgIds.toSorted().join(",")
