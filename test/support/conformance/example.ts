import type { Effect } from "effect"
import type { Service } from "../service/Service.ts"
import type { Call } from "./calls.ts"
import { credentialOf, type Operation } from "./description.ts"
import type { Scene } from "./scene.ts"

/** A request that must succeed. */
export interface Example {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** What it is answered with, where that is no success. */
  readonly status?: number
}

/** Examples that need something made for them first, such as a token that is spent. */
export type Prepared = Effect.Effect<ReadonlyArray<Example>, Error, Service>

/** Examples of operations by their key; the first of each is the one that is made wrong in every way. */
export type Examples = Readonly<Record<string, (scene: Scene) => ReadonlyArray<Example> | Prepared>>

/** The path with its parameters; one that the document calls a rest of the path keeps its slashes. */
export const pathOf = ({ path }: Operation, params: Readonly<Record<string, string>>): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = encodeURIComponent(params[name] ?? "")
    return name === "place" ? value.replaceAll("%2F", "/") : value
  })

/** The request of an example, with the API key where the operation takes one. */
export const callOf = (operation: Operation, example: Example, name: string): Call => {
  const { body, headers, params = {}, query = {} } = example
  const search = new URLSearchParams(query).toString()
  return {
    operation,
    name,
    target: pathOf(operation, params) + (search === "" ? "" : `?${search}`),
    options: {
      method: operation.method,
      key: credentialOf(operation) === "apiKey",
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { body })
    }
  }
}
