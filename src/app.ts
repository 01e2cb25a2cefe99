import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { AdminAudit } from "./admin-audit/AdminAudit.ts"
import { AdminAuditHttp } from "./admin-audit/http.ts"
import { RefusalAudit } from "./admin-audit/RefusalAudit.ts"
import { Api } from "./api.ts"
import { AppConfig } from "./config.ts"
import { Dashboard } from "./dashboard/Dashboard.ts"
import { DashboardHttp } from "./dashboard/http.ts"
import { Db } from "./db/Db.ts"
import { DbStatus } from "./db/DbStatus.ts"
import { Delegations } from "./delegations/Delegations.ts"
import { DelegationTrees } from "./delegations/DelegationTrees.ts"
import { DelegationsHttp } from "./delegations/http.ts"
import { Breakers } from "./deliveries/Breakers.ts"
import { Claims } from "./deliveries/Claims.ts"
import { Deliveries } from "./deliveries/Deliveries.ts"
import { DeliveryGauges } from "./deliveries/DeliveryGauges.ts"
import { DeliveryMetrics } from "./deliveries/DeliveryMetrics.ts"
import { Dispatcher } from "./deliveries/Dispatcher.ts"
import { FailingEndpoints } from "./deliveries/FailingEndpoints.ts"
import { DeliveriesHttp, SigningKeysHttp } from "./deliveries/http.ts"
import { Recovery } from "./deliveries/Recovery.ts"
import { Sender } from "./deliveries/Sender.ts"
import { Settlement } from "./deliveries/Settlement.ts"
import { SigningKey } from "./deliveries/SigningKey.ts"
import { SigningKeys } from "./deliveries/SigningKeys.ts"
import { Targets } from "./deliveries/Targets.ts"
import { Egress } from "./egress/Egress.ts"
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
import { RefusedCredentials } from "./http/RefusedCredentials.ts"
import { Shortcuts } from "./http/Shortcuts.ts"
import { WireErrors } from "./http/WireErrors.ts"
import { Idempotency } from "./idempotency/Idempotency.ts"
import { TokenVerifier } from "./events/TokenVerifier.ts"
import { IdempotencyKeys } from "./idempotency/IdempotencyKeys.ts"
import { DataKeys } from "./identity/DataKeys.ts"
import { IdentityHttp } from "./identity/http.ts"
import { Identity } from "./identity/Identity.ts"
import { OwnManifest } from "./identity/OwnManifest.ts"
import * as Randomness from "./identity/random.ts"
import { Secrets } from "./identity/Secrets.ts"
import { IssuerListsHttp } from "./issuer-lists/http.ts"
import { IssuerLists } from "./issuer-lists/IssuerLists.ts"
import { IssuerRevocations } from "./issuer-lists/IssuerRevocations.ts"
import { ListChecker } from "./issuer-lists/ListChecker.ts"
import { ListMirror } from "./issuer-lists/ListMirror.ts"
import { MirrorMetrics } from "./issuer-lists/MirrorMetrics.ts"
import { Leases } from "./jobs/Leases.ts"
import * as Limits from "./limits/Limits.ts"
import { Checkpoints } from "./log/Checkpoints.ts"
import { Cosigning } from "./log/Cosigning.ts"
import { LogHttp } from "./log/http.ts"
import { Integrator } from "./log/Integrator.ts"
import { LedgerAudit } from "./log/LedgerAudit.ts"
import { LogEntries } from "./log/LogEntries.ts"
import { LogGauges } from "./log/LogGauges.ts"
import { LogKey } from "./log/LogKey.ts"
import { LogMetrics } from "./log/LogMetrics.ts"
import { LogTiles } from "./log/LogTiles.ts"
import { LogTrees } from "./log/LogTrees.ts"
import { LogWitnesses } from "./log/LogWitnesses.ts"
import { Prover } from "./log/Prover.ts"
import { SelfAudit } from "./log/SelfAudit.ts"
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
import { IntegritySweep } from "./registry/IntegritySweep.ts"
import { LastSeen } from "./registry/LastSeen.ts"
import { Registration } from "./registry/Registration.ts"
import { RegistryAnswers } from "./registry/RegistryAnswers.ts"
import { RegistryVersion } from "./registry/RegistryVersion.ts"
import { StoredManifests } from "./registry/StoredManifests.ts"
import { CascadeAnnouncer } from "./revocation/CascadeAnnouncer.ts"
import { ChangeFeed } from "./revocation/ChangeFeed.ts"
import { Changes } from "./revocation/Changes.ts"
import { EntryExpiry } from "./revocation/EntryExpiry.ts"
import { ExpiredEvents } from "./retention/ExpiredEvents.ts"
import { ExpiredRows } from "./retention/ExpiredRows.ts"
import { Retention } from "./retention/Retention.ts"
import { RevocationFeedsHttp } from "./revocation/feed-http.ts"
import { FeedEntries } from "./revocation/FeedEntries.ts"
import { FilterFeed } from "./revocation/FilterFeed.ts"
import { RevocationHttp } from "./revocation/http.ts"
import { Impact } from "./revocation/Impact.ts"
import { ListAnnouncer } from "./revocation/ListAnnouncer.ts"
import { ListPublisher } from "./revocation/ListPublisher.ts"
import { PublicationClaims } from "./revocation/PublicationClaims.ts"
import { RevocationCascades } from "./revocation/RevocationCascades.ts"
import { RevocationEntries } from "./revocation/RevocationEntries.ts"
import { RevocationList } from "./revocation/RevocationList.ts"
import { RevocationLists } from "./revocation/RevocationLists.ts"
import { RevocationMetrics } from "./revocation/RevocationMetrics.ts"
import { RevocationSigner } from "./revocation/RevocationSigner.ts"
import { Revoker } from "./revocation/Revoker.ts"
import { StatusFeed } from "./revocation/StatusFeed.ts"
import { SessionsHttp } from "./sessions/http.ts"
import { SessionExport } from "./sessions/SessionExport.ts"
import { SessionCount } from "./sessions/SessionCount.ts"
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
import { Anchoring } from "./trust/Anchoring.ts"
import { TrustAnchorsHttp } from "./trust/http.ts"
import { KeySetMetrics } from "./trust/KeySetMetrics.ts"
import { KeySetRefresh } from "./trust/KeySetRefresh.ts"
import { KeySets } from "./trust/KeySets.ts"
import { PinnedKeys } from "./trust/PinnedKeys.ts"
import { Pinning } from "./trust/Pinning.ts"
import { PinnedKeysHttp } from "./trust/pins-http.ts"
import { TrustAnchors } from "./trust/TrustAnchors.ts"
import { TrustDocument } from "./trust/TrustDocument.ts"
import { Disabling } from "./webhooks/Disabling.ts"
import { WebhooksHttp } from "./webhooks/http.ts"
import { RemovedWebhooks } from "./webhooks/RemovedWebhooks.ts"
import { SecretRewrap } from "./webhooks/SecretRewrap.ts"
import { Subscriptions } from "./webhooks/Subscriptions.ts"
import { Webhooks } from "./webhooks/Webhooks.ts"
import { WebhookSecrets } from "./webhooks/WebhookSecrets.ts"

/** The whole service. Groups are listed from what is needed first to what needs the rest. */

const Platform = Layer.mergeAll(Telemetry.layer, Randomness.layer).pipe(
  Layer.provideMerge(Logging.layer),
  Layer.provideMerge(AppConfig.layer)
)

const Operations = Layer.mergeAll(Metrics.layer, ApiDocument.layer(Api), AccessLog.layer, Limits.layer).pipe(
  Layer.provideMerge(
    Layer.mergeAll(Health.layer, Readiness.layer, RefusedCredentials.layer, Shortcuts.layer, Drain.layer)
  )
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
  AdminAudit.layer,
  Agents.layer,
  AuditEvents.layer,
  Changes.layer,
  Delegations.layer,
  EventOwners.layer,
  EventTypeCounts.layer,
  IdempotencyKeys.layer,
  IngestMetrics.layer,
  IssuerLists.layer,
  IssuerRevocations.layer,
  LastSeen.layer,
  Leases.layer,
  LedgerHints.layer,
  LogLineage.layer,
  LedgerPages.layer,
  PublicationClaims.layer,
  RevocationCascades.layer,
  RevocationEntries.layer,
  RevocationLists.layer,
  Sessions.layer,
  Tcts.layer,
  Webhooks.layer,
  WebhookSecrets.layer
).pipe(
  Layer.provideMerge(RegistryVersion.layer),
  Layer.provideMerge(Layer.mergeAll(DataKeys.layer, Identity.layer).pipe(Layer.provideMerge(Secrets.layer)))
)

/** What is read across several stores. */
const ReadModels = Layer.mergeAll(
  AgentExport.layer,
  Dashboard.layer,
  DelegationTrees.layer,
  Impact.layer.pipe(Layer.provide(DelegationTrees.layer)),
  RegistryAnswers.layer,
  SessionCount.layer,
  SessionExport.layer
)

const Acts = Layer.mergeAll(
  Deregistration.layer,
  Disabling.layer,
  Enrollment.layer,
  ExpirySweep.layer,
  Idempotency.layer,
  IntegritySweep.layer.pipe(Layer.provide(StoredManifests.layer)),
  OwnManifest.layer,
  Registration.layer,
  RemovedWebhooks.layer,
  SecretRewrap.layer,
  Subscriptions.layer,
  TokenVerifier.layer
).pipe(
  Layer.provideMerge(Ingest.layer.pipe(Layer.provide(GroupCommit.layer))),
  Layer.provideMerge(Egress.layer)
)

/** Webhooks on their way out. */
const Outgoing = Layer.mergeAll(FailingEndpoints.layer, Recovery.layer, SigningKeys.layer).pipe(
  Layer.provideMerge(Dispatcher.layer),
  Layer.provide([Sender.layer, Settlement.layer, Targets.layer]),
  Layer.provide(DeliveryMetrics.layer),
  Layer.provideMerge(Layer.mergeAll(Breakers.layer, Claims.layer, Deliveries.layer, SigningKey.layer))
)

const Revocation = Layer.mergeAll(ListPublisher.layer, Revoker.layer).pipe(
  Layer.provideMerge(
    Layer.mergeAll(CascadeAnnouncer.layer, ListAnnouncer.layer, RevocationList.layer, RevocationSigner.layer)
  )
)

const RevocationFeeds = Layer.mergeAll(ChangeFeed.layer, FilterFeed.layer, StatusFeed.layer).pipe(
  Layer.provide(FeedEntries.layer)
)

const TransparencyLog = Layer.mergeAll(Cosigning.layer, Integrator.layer, SelfAudit.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Checkpoints.layer, LedgerAudit.layer, Prover.layer)),
  Layer.provideMerge(
    Layer.mergeAll(
      LogEntries.layer,
      LogKey.layer,
      LogMetrics.layer,
      LogTiles.layer,
      LogTrees.layer,
      LogWitnesses.layer
    )
  )
)

const Trust = Layer.mergeAll(Anchoring.layer, KeySetRefresh.layer, Pinning.layer, TrustDocument.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(KeySets.layer, PinnedKeys.layer, TrustAnchors.layer))
)

const Streams = Layer.mergeAll(EventStreams.layer, Pull.layer, LedgerListener.layer()).pipe(
  Layer.provideMerge(LedgerReader.layer),
  Layer.provideMerge(AuditBus.layer),
  Layer.provide(StreamMetrics.layer)
)

const RefusalAuditLoop = RefusalAudit.layerLoop.pipe(Layer.provide(RefusalAudit.layer))

const RetentionLoop = Retention.layerLoop.pipe(
  Layer.provide(Retention.layer),
  Layer.provide([ExpiredEvents.layer, ExpiredRows.layer])
)

const Jobs = Layer.mergeAll(
  CascadeAnnouncer.layerLoop,
  Cosigning.layerLoop,
  EntryExpiry.layerLoop,
  EventPartitions.layerLoop,
  EventTypeCounts.layerLoop,
  ExpirySweep.layerLoop,
  FailingEndpoints.layerLoop,
  Integrator.layerLoop,
  IntegritySweep.layerLoop,
  KeySetRefresh.layerLoop,
  LastSeen.layerLoop,
  ListAnnouncer.layerLoop,
  ListMirror.layerLoop.pipe(Layer.provide(ListMirror.layer), Layer.provide(ListChecker.layer)),
  ListPublisher.layerLoop,
  OwnManifest.layerLoop,
  RemovedWebhooks.layerLoop,
  RefusalAuditLoop,
  RetentionLoop,
  RevocationList.layerLoop,
  SecretRewrap.layerLoop,
  SelfAudit.layerLoop,
  SigningKeys.layerLoop
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
    AdminAuditHttp,
    WebhooksHttp,
    DeliveriesHttp,
    RevocationHttp,
    RevocationFeedsHttp,
    IssuerListsHttp,
    TrustAnchorsHttp,
    PinnedKeysHttp,
    IdentityHttp,
    LogHttp,
    SigningKeysHttp,
    OpsHttp,
    DocumentsHttp
  ]),
  Layer.provide(WireErrors.layer)
)

const Running = Startup.layerAnnounce.pipe(
  Layer.provide(Gate.layerOpen(applicationOf(Routes))),
  Layer.provide([
    Jobs,
    DeliveryGauges.layer,
    DerivedMetrics.layer,
    KeySetMetrics.layer,
    LogGauges.layer,
    MirrorMetrics.layer,
    RevocationMetrics.layer
  ])
)

export const App = Drain.layerHold.pipe(
  Layer.provide(Running),
  Layer.provide(Streams),
  Layer.provide(RevocationFeeds),
  Layer.provide(Outgoing),
  Layer.provide(Revocation),
  Layer.provide(Trust),
  Layer.provide(TransparencyLog),
  Layer.provide([Acts, ReadModels]),
  Layer.provide(Stores),
  Layer.provide(Data),
  Layer.provide([Server, Drain.layerSignals]),
  Layer.provide(Operations),
  Layer.provide(Platform)
)
