import type { Target } from "./target.ts"
import { addresses } from "./targets/addresses.ts"
import { aid } from "./targets/aid.ts"
import { base64url } from "./targets/base64url.ts"
import { cursorsAndPositions } from "./targets/cursors.ts"
import { documents } from "./targets/documents.ts"
import { events } from "./targets/events.ts"
import { headers } from "./targets/headers.ts"
import { json } from "./targets/json.ts"
import { log } from "./targets/log.ts"
import { manifest } from "./targets/manifest.ts"
import { tokens } from "./targets/tokens.ts"

/** Every parser that reads what comes from outside. */
export const targets: ReadonlyArray<Target> = [
  addresses,
  aid,
  base64url,
  cursorsAndPositions,
  documents,
  events,
  headers,
  json,
  log,
  manifest,
  tokens
]
