import { Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { AppConfig } from "../../../src/config.ts"
import { AccessLog } from "../../../src/http/AccessLog.ts"
import { Drain } from "../../../src/http/Drain.ts"
import { applicationOf, Gate } from "../../../src/http/Gate.ts"
import * as Listener from "../../../src/http/Listener.ts"
import { RefusedCredentials } from "../../../src/http/RefusedCredentials.ts"
import { Shortcuts } from "../../../src/http/Shortcuts.ts"
import { WireErrors } from "../../../src/http/WireErrors.ts"
import * as Limits from "../../../src/limits/Limits.ts"
import { OpsOnly } from "../../../src/ops/api.ts"
import { ApiDocument } from "../../../src/ops/ApiDocument.ts"
import { DocumentsHttp } from "../../../src/ops/documents.ts"
import { Health } from "../../../src/ops/Health.ts"
import { OpsHttp } from "../../../src/ops/http.ts"
import * as Logging from "../../../src/ops/Logging.ts"
import { Metrics } from "../../../src/ops/Metrics.ts"
import { Readiness } from "../../../src/ops/Readiness.ts"
import * as Telemetry from "../../../src/ops/Telemetry.ts"

const Operations = Layer.mergeAll(Metrics.layer, ApiDocument.layer(OpsOnly)).pipe(
  Layer.provideMerge(Layer.mergeAll(Health.layer, Readiness.layer, RefusedCredentials.layer, Shortcuts.layer))
)

const Probes = HttpApiBuilder.layer(OpsOnly).pipe(
  Layer.provide([OpsHttp, DocumentsHttp]),
  Layer.provide(WireErrors.layer)
)

/** The whole edge in front of the probes alone: everything a request meets, without database and features. */
export const OpsService = Drain.layerHold.pipe(
  Layer.provide(Gate.layer(OpsOnly, applicationOf(Probes))),
  Layer.provide([Listener.layer, AccessLog.layer, Limits.layer, Drain.layerSignals]),
  Layer.provide([Operations, Drain.layer]),
  Layer.provide([Logging.layer, Telemetry.layer]),
  Layer.provide(AppConfig.layer)
)
