import { Context, Layer } from "effect"
import type { HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Principal } from "../access/Principal.ts"

/**
 * Answers a request without running its handler, from what is already in memory; undefined leaves it to the handler.
 * It is called after everything the edge checks, so access rules hold as for the handler.
 */
export type Shortcut = (
  request: HttpServerRequest.HttpServerRequest,
  principal: Principal
) => HttpServerResponse.HttpServerResponse | undefined

/**
 * For endpoints that are asked very often and mostly answer the same: a handler that only returns a cached response
 * spends most of its time in router, parameter decoding and fiber set-up. The endpoint keeps its handler, for the first
 * request and for the OpenAPI document.
 */
export class Shortcuts extends Context.Service<
  Shortcuts,
  {
    /** One per endpoint; `template` as declared. */
    readonly add: (method: "GET", template: string, shortcut: Shortcut) => void
    readonly find: (key: string) => Shortcut | undefined
  }
>()("cp/http/Shortcuts") {
  static readonly layer = Layer.sync(Shortcuts, () => {
    const shortcuts = new Map<string, Shortcut>()
    return Shortcuts.of({
      add: (method, template, shortcut) => void shortcuts.set(`${method} ${template}`, shortcut),
      find: (key) => shortcuts.get(key)
    })
  })
}
