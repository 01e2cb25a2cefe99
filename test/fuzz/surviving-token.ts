const isToken = (header: string): boolean => {
  try {
    const value: unknown = JSON.parse(Buffer.from(header, "base64url").toString())
    return (
      typeof value === "object" &&
      value !== null &&
      ("alg" in value || "typ" in value) &&
      !Array.isArray(value)
    )
  } catch {
    return false
  }
}

/** The compact token in a text, by a reading of its own: three segments in a row, the first a JOSE header. */
const tokenIn = (text: string): string | undefined => {
  for (const run of text.split(/[^A-Za-z0-9_.-]+/)) {
    const segments = run.split(".")
    for (let at = 0; at + 2 < segments.length; at += 1) {
      const [header = "", payload = "", signature = ""] = segments.slice(at, at + 3)
      // the shortest header, {"alg":1}, has twelve characters
      if (header.length >= 12 && payload !== "" && signature !== "" && isToken(header))
        return `${header}.${payload}.${signature}`
    }
  }
  return undefined
}

/** A compact token in some string or member name of a value; undefined when there is none. */
export const survivingToken = (value: unknown): string | undefined => {
  if (typeof value === "string") return tokenIn(value)
  if (typeof value !== "object" || value === null) return undefined
  for (const [name, member] of Object.entries(value)) {
    const found = tokenIn(name) ?? survivingToken(member)
    if (found !== undefined) return found
  }
  return undefined
}
