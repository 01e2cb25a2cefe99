import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Layer } from "effect"
import { OpsService } from "./OpsService.ts"

/** The edge as a process of its own, for what only a process can show: signals, exit codes, throughput. */
NodeRuntime.runMain(Layer.launch(OpsService), { teardown: (_exit, done) => done(0) })
