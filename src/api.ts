import { HttpApi } from "effect/http-api"
import { EventsApi } from "./events/api.ts"
import { WireErrors } from "./http/WireErrors.ts"
import { IdentityApi } from "./identity/api.ts"
import { API_ID, DocumentsApi, OpsApi } from "./ops/api.ts"
import { RegistryApi } from "./registry/api.ts"
import { StreamApi } from "./stream/api.ts"

/** Every endpoint of the service. */
export const Api = HttpApi.make(API_ID)
  .add(RegistryApi, EventsApi, StreamApi, IdentityApi, OpsApi, DocumentsApi)
  .middleware(WireErrors)
