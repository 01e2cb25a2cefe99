import { Result } from "effect"
import { readManifestEnvelope } from "../aitp/manifest-envelope.ts"
import { isJsonObject } from "../aitp/json.ts"
import type { ListPlace } from "./model.ts"

/** The registered extension for an agent's own `ListRevoked` (RFC-AITP-0012). */
const EXTENSION = "rfc-aitp-0008.revocation_list_uri"

const MAX_URI_LENGTH = 2048

/**
 * Where a registered manifest says that the agent's list is; undefined when it does not. Whether that place may be asked is
 * for the guarded client.
 * @param envelope the registered body as received
 */
export const listPlace = (envelope: string): ListPlace | undefined => {
  const opened = readManifestEnvelope(envelope)
  if (Result.isFailure(opened)) return undefined
  const { extensions } = opened.success.manifest
  const uri = isJsonObject(extensions) ? extensions[EXTENSION] : undefined
  if (typeof uri !== "string" || uri.length > MAX_URI_LENGTH || uri.includes("\0")) return undefined
  return { uri, host: URL.canParse(uri) ? new URL(uri).host : "" }
}
