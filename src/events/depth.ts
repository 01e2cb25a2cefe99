/** Deepest nesting of one reported payload. */
export const MAX_PAYLOAD_DEPTH = 64

/** Deepest nesting of a reported item: its payload is a member of it. */
export const MAX_ITEM_DEPTH = MAX_PAYLOAD_DEPTH + 1

/** Whether a parsed value nests deeper than `levels`; looks no further than that. */
export const deeperThan = (levels: number, value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return false
  return levels === 0 || Object.values(value).some((member) => deeperThan(levels - 1, member))
}
