import { Effect, Layer } from "effect"
import { SecureRandom } from "effect/crypto"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "./api.ts"
import { AppConfig } from "./config.ts"
import { Dashboard } from "./dashboard/Dashboard.ts"
import { DashboardHttp } from "./dashboard/http.ts"
import { Db } from "./db/Db.ts"
import { DbStatus } from "./db/DbStatus.ts"
import { Delegations } from "./delegations/Delegations.ts"
import { DelegationTrees } from "./delegations/DelegationTrees.ts"
import { DelegationsHttp } from "./delegations/http.ts"
import { databaseFromConfig } from "./embedded/databaseFromConfig.ts"
import { AuditEvents } from "./events/AuditEvents.ts"
import { EventOwners } from "./events/EventOwners.ts"
import { EventPartitions } from "./events/EventPartitions.ts"
import { EventTypeCounts } from "./events/EventTypeCounts.ts"
import { EventsHttp } from "./events/http.ts"
import { GroupCommit } from "./events/GroupCommit.ts"
import { Ingest } from "./events/Ingest.ts"
import { IngestMetrics } from "./events/IngestMetrics.ts"
import { LedgerHints } from "./events/LedgerHints.ts"
import { LogLineage } from "./events/LogLineage.ts"
import { AccessLog } from "./http/AccessLog.ts"
import { Drain } from "./http/Drain.ts"
import { applicationOf, Gate } from "./http/Gate.ts"
import * as Listener from "./http/Listener.ts"
import { Shortcuts } from "./http/Shortcuts.ts"
import { WireErrors } from "./http/WireErrors.ts"
import { Idempotency } from "./idempotency/Idempotency.ts"
import { TokenVerifier } from "./events/TokenVerifier.ts"
import { IdempotencyKeys } from "./idempotency/IdempotencyKeys.ts"
import { DataKeys } from "./identity/DataKeys.ts"
import { IdentityHttp } from "./identity/http.ts"
import { Identity } from "./identity/Identity.ts"
import { OwnManifest } from "./identity/OwnManifest.ts"
import { Secrets } from "./identity/Secrets.ts"
import { Leases } from "./jobs/Leases.ts"
import { OpsOnly } from "./ops/api.ts"
import { ApiDocument } from "./ops/ApiDocument.ts"
import { DerivedMetrics } from "./ops/DerivedMetrics.ts"
import { DocumentsHttp } from "./ops/documents.ts"
import { Health } from "./ops/Health.ts"
import { OpsHttp } from "./ops/http.ts"
import * as Logging from "./ops/Logging.ts"
import { Metrics } from "./ops/Metrics.ts"
import { Readiness } from "./ops/Readiness.ts"
import * as Startup from "./ops/Startup.ts"
import * as Telemetry from "./ops/Telemetry.ts"
import { AgentExport } from "./registry/AgentExport.ts"
import { Agents } from "./registry/Agents.ts"
import { Deregistration } from "./registry/Deregistration.ts"
import { Enrollment } from "./registry/Enrollment.ts"
import { ExpirySweep } from "./registry/ExpirySweep.ts"
import { RegistryHttp } from "./registry/http.ts"
import { LastSeen } from "./registry/LastSeen.ts"
import { Registration } from "./registry/Registration.ts"
import { SessionsHttp } from "./sessions/http.ts"
import { SessionExport } from "./sessions/SessionExport.ts"
import { Sessions } from "./sessions/Sessions.ts"
import { AuditBus } from "./stream/AuditBus.ts"
import { EventStreams } from "./stream/EventStreams.ts"
import { StreamHttp } from "./stream/http.ts"
import * as LedgerListener from "./stream/LedgerListener.ts"
import { LedgerPages } from "./stream/LedgerPages.ts"
import { LedgerReader } from "./stream/LedgerReader.ts"
import { Pull } from "./stream/Pull.ts"
import { StreamMetrics } from "./stream/StreamMetrics.ts"
import { TctsHttp } from "./tcts/http.ts"
import { Tcts } from "./tcts/Tcts.ts"

/** The whole service. Groups are listed from what is needed first to what needs the rest. */

const Platform = Layer.mergeAll(Logging.layer, Telemetry.layer, SecureRandom.layerWebCrypto).pipe(
  Layer.provideMerge(AppConfig.layer)
)

const Operations = Layer.mergeAll(Metrics.layer, ApiDocument.layer(Api), AccessLog.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Health.layer, Readiness.layer, Shortcuts.layer, Drain.layer))
)

/** Answers probes and documents from the first moment on, and everything else once the gate is opened. */
const Probes = HttpApiBuilder.layer(OpsOnly).pipe(
  Layer.provide([OpsHttp, DocumentsHttp]),
  Layer.provide(WireErrors.layer)
)
const Server = Gate.layer(Api, applicationOf(Probes)).pipe(Layer.provideMerge(Listener.layer))

const DatabaseStart = Layer.unwrap(
  Effect.map(AppConfig, ({ database }) => DbStatus.layer({ autoMigrate: database.autoMigrate }))
)
const Data = Startup.layerDatabaseReady.pipe(
  Layer.provideMerge(Layer.mergeAll(Db.layer, DatabaseStart)),
  Layer.provideMerge(databaseFromConfig)
)

const Stores = Layer.mergeAll(
  Agents.layer,
  AuditEvents.layer,
  Delegations.layer,
  EventOwners.layer,
  EventTypeCounts.layer,
  IdempotencyKeys.layer,
  IngestMetrics.layer,
  LastSeen.layer,
  Leases.layer,
  LedgerHints.layer,
  LogLineage.layer,
  LedgerPages.layer,
  Sessions.layer,
  Tcts.layer
).pipe(
  Layer.provideMerge(
    Layer.mergeAll(DataKeys.layer, Identity.layer).pipe(Layer.provideMerge(Secrets.layer))
  )
)

/** What is read across several stores. */
const ReadModels = Layer.mergeAll(
  AgentExport.layer,
  Dashboard.layer,
  DelegationTrees.layer,
  SessionExport.layer
)

const Acts = Layer.mergeAll(
  Deregistration.layer,
  Enrollment.layer,
  ExpirySweep.layer,
  Idempotency.layer,
  OwnManifest.layer,
  Registration.layer,
  TokenVerifier.layer
).pipe(Layer.provideMerge(Ingest.layer.pipe(Layer.provide(GroupCommit.layer))))

const Streams = Layer.mergeAll(EventStreams.layer, Pull.layer, LedgerListener.layer()).pipe(
  Layer.provideMerge(LedgerReader.layer),
  Layer.provideMerge(AuditBus.layer),
  Layer.provide(StreamMetrics.layer)
)

const Jobs = Layer.mergeAll(
  EventPartitions.layerLoop,
  EventTypeCounts.layerLoop,
  ExpirySweep.layerLoop,
  LastSeen.layerLoop,
  OwnManifest.layerLoop
)

const Routes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([
    RegistryHttp,
    EventsHttp,
    StreamHttp,
    SessionsHttp,
    TctsHttp,
    DelegationsHttp,
    DashboardHttp,
    IdentityHttp,
    OpsHttp,
    DocumentsHttp
  ]),
  Layer.provide(WireErrors.layer)
)

const Running = Startup.layerAnnounce.pipe(
  Layer.provide(Gate.layerOpen(applicationOf(Routes))),
  Layer.provide([Jobs, DerivedMetrics.layer])
)

export const App = Drain.layerHold.pipe(
  Layer.provide(Running),
  Layer.provide(Streams),
  Layer.provide([Acts, ReadModels]),
  Layer.provide(Stores),
  Layer.provide(Data),
  Layer.provide([Server, Drain.layerSignals]),
  Layer.provide(Operations),
  Layer.provide(Platform)
)
