import { HttpApi } from "effect/http-api"
import { DashboardApi } from "./dashboard/api.ts"
import { DelegationsApi } from "./delegations/api.ts"
import { EventsApi } from "./events/api.ts"
import { WireErrors } from "./http/WireErrors.ts"
import { IdentityApi } from "./identity/api.ts"
import { API_ID, DocumentsApi, OpsApi } from "./ops/api.ts"
import { RegistryApi } from "./registry/api.ts"
import { SessionsApi } from "./sessions/api.ts"
import { StreamApi } from "./stream/api.ts"
import { TctsApi } from "./tcts/api.ts"

/** Every endpoint of the service. */
export const Api = HttpApi.make(API_ID)
  .add(
    RegistryApi,
    EventsApi,
    StreamApi,
    SessionsApi,
    TctsApi,
    DelegationsApi,
    DashboardApi,
    IdentityApi,
    OpsApi,
    DocumentsApi
  )
  .middleware(WireErrors)
