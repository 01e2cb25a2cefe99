/** Path of a request target, as sent, without its query. */
export const pathOf = (target: string): string => {
  const end = target.indexOf("?")
  return end === -1 ? target : target.slice(0, end)
}

/** Whether the path is what RFC 3986 allows, ASCII, and each escape decodes, once, to text without NUL. */
export const isDecodable = (path: string): boolean => {
  if (/[^\x21-\x7e]/.test(path)) return false
  if (!path.includes("%")) return true
  try {
    return !decodeURIComponent(path).includes("\0")
  } catch {
    return false
  }
}

/**
 * The target with `;` and `#` of its path escaped. To the router these end a path, which would make `/api/agents;x`
 * the same as `/api/agents`.
 */
export const withLiteralPath = (target: string): string => {
  const path = pathOf(target)
  if (!path.includes(";") && !path.includes("#")) return target
  return path.replaceAll(";", "%3B").replaceAll("#", "%23") + target.slice(path.length)
}

/** Whether a path belongs to the API proper, where an unknown one asks for a key. */
export const isApiPath = (path: string): boolean => path.startsWith("/api/") || path === "/api"
