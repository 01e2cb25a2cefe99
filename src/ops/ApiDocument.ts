import { Context, Layer } from "effect"
import type { HttpApi, HttpApiGroup } from "effect/http-api"
import * as Document from "../http/Document.ts"
import { describe } from "./openapi.ts"

/** The description of the whole API, as served; made once from the code. */
export class ApiDocument extends Context.Service<
  ApiDocument,
  { readonly json: Document.Document; readonly text: string }
>()("cp/ops/ApiDocument") {
  static readonly layer = <Id extends string, Groups extends HttpApiGroup.Constraint>(
    api: HttpApi.HttpApi<Id, Groups>
  ) =>
    Layer.sync(ApiDocument, () => {
      const text = JSON.stringify(describe(api))
      return ApiDocument.of({ text, json: Document.make(text) })
    })
}
