import { Effect, Metric } from "effect"
import type { ManifestVerifyCode } from "../aitp/manifest.ts"

const refusals = Metric.counter("enroll_verification_failures", {
  description: "Manifests refused at enrolment or registration, by the code that verifiers give the reason.",
  incremental: true
})

const CODES = [
  "signature_invalid",
  "pop_failed",
  "aid_mismatch",
  "expired",
  "version_unknown",
  "identity_hint_malformed",
  "incompatible_identity_type",
  "malformed"
] as const satisfies ReadonlyArray<ManifestVerifyCode>

/** `none`: refused by a limit of this service, for which verifiers have no code. */
const series = new Map(
  [...CODES, "other", "none"].map((code) => [code, Metric.withAttributes(refusals, { code })])
)

/** Makes every series exist, so that a first refusal is seen as an increase. */
export const seedRefusals = Effect.forEach(series.values(), (each) => Metric.update(each, 0), {
  discard: true
})

/** Counts a refused manifest. */
export const countRefusal = ({ verifyCode = "none" }: { readonly verifyCode?: string }) => {
  const counter = series.get(verifyCode) ?? series.get("other")
  return counter === undefined ? Effect.void : Metric.update(counter, 1)
}
