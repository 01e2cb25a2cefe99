import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { formatAid } from "../../src/aitp/aid.ts"
import { ed25519Signer } from "../../src/aitp/signer.ts"
import { startChild } from "./child.ts"
import { BenchError } from "./model.ts"

export const API_KEY = randomBytes(24).toString("hex")

/** What the service is given besides the defaults of production; in the report. */
export const SETTINGS = "RATE_LIMIT_ENABLED=false, MAX_SSE_CONNECTIONS=1000, WEBHOOK_ALLOW_CIDRS=127.0.0.0/8"

/** One key for all replicas of a run. */
const aidSeed = randomBytes(32)
const { alg, raw } = ed25519Signer(aidSeed)

/** Who signs what the service publishes. */
export const SERVICE_AID = formatAid(alg, raw)

/** How every server of a run that has the service's edge is configured. */
export const environment: Readonly<Record<string, string>> = {
  NODE_ENV: "production",
  HOST: "127.0.0.1",
  PORT: "0",
  API_KEYS: API_KEY,
  CP_AID_SEED_HEX: aidSeed.toString("hex"),
  ENROLLMENT_SECRET: randomBytes(32).toString("hex"),
  ...Object.fromEntries(SETTINGS.split(", ").map((setting) => setting.split("=", 2)))
}

/** Where a server is, and its process. */
export interface Service {
  readonly pid: number
  readonly url: string
  /** From the start of the process to its first answer that it is ready, ms. */
  readonly readyMs: number
  readonly stop: Effect.Effect<void>
}

const READY_MS = 120_000
const LOOK_EVERY_MS = 5

const isReady = (url: string) =>
  Effect.promise(async () => {
    try {
      const response = await fetch(`${url}/api/readyz`)
      await response.arrayBuffer()
      return response.status === 200
    } catch {
      return false
    }
  })

/** Runs the service with these variables over those of all until the scope closes; comes back when it is ready. */
export const startWith = Effect.fnUntraced(function* (variables: Readonly<Record<string, string>>) {
  const child = yield* startChild("src/main.ts", variables)
  while (!(yield* isReady(child.url))) {
    if (performance.now() - child.startedAt > READY_MS)
      return yield* Effect.fail(new BenchError(`the service is not ready within ${READY_MS / 1000} s`))
    yield* Effect.sleep(LOOK_EVERY_MS)
  }
  const service: Service = { ...child, readyMs: performance.now() - child.startedAt }
  return service
})

/** The service in production mode on a database. */
export const startService = (databaseUrl: string) => startWith({ ...environment, DATABASE_URL: databaseUrl })
