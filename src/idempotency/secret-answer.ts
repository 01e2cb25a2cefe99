import type { HttpServerResponse } from "effect/http"
import type { DataKeys } from "../identity/DataKeys.ts"
import { bodyContext, type Completion, type Reservation } from "./model.ts"
import { renderedAnswer } from "./route.ts"

/** Completion of a request whose answer shows a secret: kept as it is sent, encrypted. */
export const secretCompletion = (
  keys: DataKeys["Service"],
  reservation: Reservation,
  response: HttpServerResponse.HttpServerResponse
): Completion => {
  const { body, status } = renderedAnswer(response)
  if (body === undefined) return { reservation, answer: { status } }
  const bytes = keys.encrypt(body.bytes, bodyContext(reservation))
  return { reservation, answer: { status, body: { ...body, bytes, encrypted: true } } }
}
