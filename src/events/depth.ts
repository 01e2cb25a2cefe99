/** Deepest nesting of one reported payload. */
export const MAX_PAYLOAD_DEPTH = 64

/** Deepest nesting of a reported item: its payload is a member of it. */
export const MAX_ITEM_DEPTH = MAX_PAYLOAD_DEPTH + 1

/** Whether a parsed value nests deeper than `levels`; looks no further than that. */
export const deeperThan = (levels: number, value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) return value.some((item) => deeperThan(levels - 1, item))
  for (const name in value) if (deeperThan(levels - 1, Reflect.get(value, name))) return true
  return false
}
