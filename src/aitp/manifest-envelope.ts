// `{"manifest": {…}}`, the transport wrapper of a Manifest (RFC-AITP-0003 §6). It is never part of what is signed.

import { Data, Result } from "effect"
import { isJsonObject, type JsonObject, type JsonOffence, readJson, type ReadJsonOptions } from "./json.ts"
import type { ConformanceFinding } from "./manifest-profile.ts"

/** Why no Manifest could be taken out of a body; `not_an_object` and `no_manifest` are readable JSON. */
export class EnvelopeRefused extends Data.TaggedError("EnvelopeRefused")<{
  readonly offence: JsonOffence | "not_an_object" | "no_manifest"
  /** Short, safe to show. */
  readonly message: string
}> {}

export interface ManifestEnvelope {
  /** As parsed; not verified in any way. */
  readonly manifest: JsonObject
  /** `EXTRA_ENVELOPE_MEMBERS` when `manifest` has siblings. The RFC's schema allows none. */
  readonly findings: ReadonlyArray<ConformanceFinding>
}

/** Takes the Manifest out of a received body, reading it with the strictness of {@link readJson}. */
export const readManifestEnvelope = (
  body: string | Uint8Array,
  options?: ReadJsonOptions
): Result.Result<ManifestEnvelope, EnvelopeRefused> => {
  const read = readJson(body, options)
  if (Result.isFailure(read)) {
    const { offence, message } = read.failure
    return Result.fail(new EnvelopeRefused({ offence, message }))
  }
  const envelope = read.success
  if (!isJsonObject(envelope)) {
    return Result.fail(
      new EnvelopeRefused({ offence: "not_an_object", message: "body is not a JSON object" })
    )
  }
  const manifest = envelope["manifest"]
  if (!isJsonObject(manifest)) {
    return Result.fail(new EnvelopeRefused({ offence: "no_manifest", message: "manifest is not an object" }))
  }
  return Result.succeed({
    manifest,
    findings: Object.keys(envelope).length > 1 ? ["EXTRA_ENVELOPE_MEMBERS"] : []
  })
}
