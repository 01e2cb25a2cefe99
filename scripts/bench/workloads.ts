import type { Workload } from "./model.ts"
import { batches } from "./w01-batches.ts"
import { singleEvents } from "./w02-single-events.ts"
import { enrolment } from "./w03-enrolment.ts"
import { discovery } from "./w04-discovery.ts"
import { oneAgent } from "./w05-one-agent.ts"
import { revocationList } from "./w06-revocation-list.ts"
import { stream } from "./w07-stream.ts"
import { history } from "./w08-history.ts"
import { webhooks } from "./w09-webhooks.ts"
import { delegationTree } from "./w10-delegation-tree.ts"
import { start } from "./w11-start.ts"
import { replicas } from "./w12-replicas.ts"

/** All workloads, in the order in which they run. */
export const workloads: ReadonlyArray<Workload> = [
  batches,
  singleEvents,
  enrolment,
  discovery,
  oneAgent,
  revocationList,
  stream,
  history,
  webhooks,
  delegationTree,
  start,
  replicas
]
