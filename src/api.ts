import { HttpApi, OpenApi } from "effect/http-api"
import { AdminAuditApi } from "./admin-audit/api.ts"
import { DashboardApi } from "./dashboard/api.ts"
import { DelegationsApi } from "./delegations/api.ts"
import { DeliveriesApi, SigningKeysApi } from "./deliveries/api.ts"
import { withMessages } from "./deliveries/message.ts"
import { EventsApi } from "./events/api.ts"
import { WireErrors } from "./http/WireErrors.ts"
import { IdentityApi } from "./identity/api.ts"
import { LogApi } from "./log/api.ts"
import { IssuerListsApi } from "./issuer-lists/api.ts"
import { API_ID, DocumentsApi, OpsApi } from "./ops/api.ts"
import { RegistryApi } from "./registry/api.ts"
import { RevocationApi } from "./revocation/api.ts"
import { RevocationFeedsApi } from "./revocation/feed-api.ts"
import { SessionsApi } from "./sessions/api.ts"
import { StreamApi } from "./stream/api.ts"
import { TctsApi } from "./tcts/api.ts"
import { TrustAnchorsApi } from "./trust/api.ts"
import { PinnedKeysApi } from "./trust/pins-api.ts"
import { WebhooksApi } from "./webhooks/api.ts"

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
    AdminAuditApi,
    WebhooksApi,
    DeliveriesApi,
    RevocationApi,
    RevocationFeedsApi,
    IssuerListsApi,
    TrustAnchorsApi,
    PinnedKeysApi,
    IdentityApi,
    LogApi,
    SigningKeysApi,
    OpsApi,
    DocumentsApi
  )
  .middleware(WireErrors)
  .annotateMerge(OpenApi.annotations({ transform: withMessages }))
