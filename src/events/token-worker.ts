// The thread of TokenVerifier.

import { parentPort } from "node:worker_threads"
import type { VerificationAnswer, VerificationJob } from "./TokenVerifier.ts"
import { isVerified } from "./verification.ts"

parentPort?.on("message", ({ id, texts }: VerificationJob) => {
  const answer: VerificationAnswer = { id, verified: texts.map(isVerified) }
  parentPort?.postMessage(answer)
})
