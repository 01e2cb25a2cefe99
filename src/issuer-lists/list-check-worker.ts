// The thread of ListChecker.

import { parentPort } from "node:worker_threads"
import { checkList, type ListCheck } from "./list-check.ts"

parentPort?.on("message", (check: ListCheck) => parentPort?.postMessage(checkList(check)))
