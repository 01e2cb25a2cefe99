// The thread of FilterFeed: makes one coded set and ends.

import { parentPort, workerData } from "node:worker_threads"
import { type FilterJob, setOf } from "./filter-job.ts"

parentPort?.postMessage(setOf(workerData as FilterJob)) // given by the one who started it
