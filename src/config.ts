import { Config, Context, Effect, Layer, Redacted, Schema } from "effect"
import * as Env from "./env.ts"

/**
 * Every variable the service reads, once, at start. Nothing else looks at the environment.
 * `.env.example` lists the same variables; a test holds the two together.
 */

const { withDefault } = Config
const HOUR_MS = 3_600_000
const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const

/** Only this exact word, after trimming, turns on the production rules; any other `NODE_ENV` is development. */
const production = Config.map(Env.string("NODE_ENV").pipe(withDefault("")), (name) => name === "production")

const server = Config.all({
  /** TCP port to listen on; 0 takes a free one. */
  port: Env.integer("PORT", 0, 65_535).pipe(withDefault(4000)),
  host: Env.string("HOST").pipe(withDefault("0.0.0.0")),
  /** Public origin, without trailing slash and without `/api`. */
  baseUrl: Config.map(Env.httpUrl("CP_BASE_URL").pipe(withDefault("http://localhost:4000")), (url) =>
    url.replace(/\/+$/, "")
  ),
  /** Origins for CORS: one is sent verbatim, of several the matching one is echoed. Unset: see `corsOrigins`. */
  corsOrigins: Env.optional(Env.list("CORS_ORIGIN")),
  /** Longest time in ms from SIGTERM to exit. */
  drainMs: Env.integer("SHUTDOWN_DRAIN_MS", 0, HOUR_MS).pipe(withDefault(10_000))
})

const database = Config.all({
  /** Unset: the embedded server. */
  url: Env.optional(Env.connectionUrl("DATABASE_URL", ["postgres", "postgresql"])),
  /** Direct connection for notifications, when a transaction pooler sits in front of `url`. */
  listenUrl: Env.optional(Env.connectionUrl("DATABASE_LISTEN_URL", ["postgres", "postgresql"])),
  requestConnections: Env.integer("DB_POOL_MAX", 1, 1000).pipe(withDefault(20)),
  backgroundConnections: Env.integer("DB_BACKGROUND_POOL_MAX", 1, 1000).pipe(withDefault(5)),
  /** Run pending migrations at boot. */
  autoMigrate: Env.boolean("AUTO_MIGRATE").pipe(withDefault(true)),
  /** Data folder of the embedded server. */
  embeddedDir: Env.string("EMBEDDED_POSTGRES_DIR").pipe(withDefault(".data/postgres")),
  /** Seconds a job's lease lives without renewal; renewed at a third of it. Claims of deliveries live half as long again. */
  leaseSecs: Env.integer("LEASE_SECS", 1, 3600).pipe(withDefault(10))
})

const keys = Config.all({
  /** Ed25519 seed of the service's own AID. */
  aidSeedHex: Env.optional(Env.seedHex("CP_AID_SEED_HEX")),
  apiKeys: Config.map(Env.list("API_KEYS").pipe(withDefault([])), (entries) =>
    entries.map((entry) => Redacted.make(entry))
  ),
  /** HMAC key of one-time enrollment tokens; usable from 32 characters on. */
  enrollmentSecret: Env.optional(Env.secret("ENROLLMENT_SECRET")),
  enrollmentProfile: Env.word("ENROLLMENT_PROFILE", ["compat", "strict"]).pipe(withDefault("compat")),
  /** AES-256-GCM ring for secrets at rest. Unset: derived from the seed. */
  dataEncryptionKeys: Env.optional(Env.keyRing("DATA_ENCRYPTION_KEYS")),
  metricsToken: Env.optional(Env.secret("METRICS_TOKEN"))
})

const revocation = Config.all({
  listTtlSecs: Env.integer("REVOCATION_LIST_TTL_SECS", 61, 31_536_000).pipe(withDefault(3600)),
  failMode: Env.word("REVOCATION_FAIL_MODE", ["serve_stale", "fail_closed"]).pipe(withDefault("serve_stale")),
  /** Unset: the TTL; larger values are clamped to it. */
  maxStalenessSecs: Env.optional(Env.integer("REVOCATION_MAX_STALENESS_SECS", 1)),
  listProfile: Env.word("REVOCATION_LIST_PROFILE", ["operator", "strict"]).pipe(withDefault("operator")),
  signingForm: Env.word("REVOCATION_SIGNING_FORM", ["inner", "wrapped"]).pipe(withDefault("inner"))
})

const mirror = Config.all({
  /** Fetch the lists that agents publish about their own TCTs. */
  enabled: Env.boolean("REVOCATION_MIRROR_ENABLED").pipe(withDefault(false)),
  /** Longest pause in ms between two fetches of one list. */
  intervalMs: Env.integer("REVOCATION_MIRROR_INTERVAL_MS", 1000).pipe(withDefault(60_000)),
  /** Networks whose addresses are allowed although not public, also over `http:`. */
  allowCidrs: Env.networks("REVOCATION_MIRROR_ALLOW_CIDRS").pipe(withDefault([])),
  /** From the request to the end of the list. */
  timeoutMs: Env.integer("REVOCATION_MIRROR_TIMEOUT_MS", 1, 600_000).pipe(withDefault(10_000)),
  /** Also take lists signed in the form of old SDKs. */
  acceptWrapped: Env.boolean("REVOCATION_MIRROR_ACCEPT_WRAPPED").pipe(withDefault(false))
})

const webhooks = Config.all({
  /** Attempts in total; unset: 3, or as many as the schedule has. */
  retryAttempts: Env.optional(Env.integer("WEBHOOK_RETRY_ATTEMPTS", 1, 1000)),
  retryScheduleSecs: Env.optional(Env.retrySchedule("WEBHOOK_RETRY_SCHEDULE")),
  breakerFailureThreshold: Env.integer("WEBHOOK_BREAKER_FAILURE_THRESHOLD", 1).pipe(withDefault(5)),
  breakerResetMs: Env.integer("WEBHOOK_BREAKER_RESET_MS", 1).pipe(withDefault(60_000)),
  /** Hosts that may be delivered to; a leading dot includes subdomains. Empty: any. */
  urlAllowlist: Env.hosts("WEBHOOK_URL_ALLOWLIST").pipe(withDefault([])),
  /** Networks whose addresses are allowed although not public, also over `http:` in production. */
  allowCidrs: Env.networks("WEBHOOK_ALLOW_CIDRS").pipe(withDefault([])),
  timeoutMs: Env.integer("WEBHOOK_TIMEOUT_MS", 1, 600_000).pipe(withDefault(10_000)),
  concurrency: Env.integer("WEBHOOK_CONCURRENCY", 1, 10_000).pipe(withDefault(64)),
  concurrencyPerEndpoint: Env.integer("WEBHOOK_CONCURRENCY_PER_ENDPOINT", 1, 10_000).pipe(withDefault(8)),
  /** Hours of only failures after which a subscription is disabled; 0 = never. */
  disableAfterHours: Env.integer("WEBHOOK_DISABLE_AFTER_HOURS", 0).pipe(withDefault(120)),
  signingSeedHex: Env.optional(Env.seedHex("WEBHOOK_SIGNING_SEED_HEX"))
})

const events = Config.all({
  maxBatchBytes: Env.integer("INGEST_MAX_BATCH_BYTES", 1024, 16_777_216).pipe(withDefault(262_144)),
  maxEvents: Env.integer("INGEST_MAX_EVENTS", 1, 100_000).pipe(withDefault(500)),
  maxPayloadBytes: Env.integer("INGEST_MAX_PAYLOAD_BYTES", 1, 16_777_216).pipe(withDefault(65_536)),
  /** Off restores verbatim storage of compact tokens. */
  tokenRedaction: Config.map(
    Env.word("EVENT_TOKEN_REDACTION", ["on", "off"]).pipe(withDefault("on")),
    (word) => word === "on"
  ),
  artifactVerification: Env.word("OBSERVED_ARTIFACT_VERIFICATION", ["off", "warn", "strict"]).pipe(
    withDefault("off")
  )
})

const stream = Config.all({
  /** Newest events kept in memory as the look-back of a stream without a position. */
  lookBack: Env.integer("MAX_AUDIT_EVENTS_MEMORY", 0, 100_000).pipe(withDefault(500)),
  maxConnections: Env.integer("MAX_SSE_CONNECTIONS", 0).pipe(withDefault(500)),
  heartbeatMs: Config.map(Env.integer("SSE_HEARTBEAT_MS", 0).pipe(withDefault(15_000)), (ms) =>
    Math.min(Math.max(ms, 1000), 2_147_483_647)
  ),
  retryMs: Env.integer("SSE_RETRY_MS", 0).pipe(withDefault(3000)),
  /** 0 = never rotate. */
  maxAgeSecs: Env.integer("SSE_MAX_AGE_SECS", 0).pipe(withDefault(0))
})

const rateLimit = Config.all({
  enabled: Env.boolean("RATE_LIMIT_ENABLED").pipe(withDefault(true)),
  /** Requests per window; a value of 0 or less disables the bucket. */
  enrollPerIp: Env.integer("RATE_LIMIT_ENROLLMENT_PER_IP_MIN", Number.MIN_SAFE_INTEGER).pipe(withDefault(5)),
  publicPerIp: Env.integer("RATE_LIMIT_PUBLIC_PER_IP_MIN", Number.MIN_SAFE_INTEGER).pipe(withDefault(60)),
  perApiKey: Env.integer("RATE_LIMIT_API_KEY_PER_MIN", Number.MIN_SAFE_INTEGER).pipe(withDefault(600)),
  windowMs: Env.integer("RATE_LIMIT_WINDOW_MS", 1).pipe(withDefault(60_000)),
  /** Header, lower-case, in which a trusted proxy gives the client's address. */
  clientIpHeader: Env.optional(Env.headerName("CLIENT_IP_HEADER")),
  /** Proxies in front of the service that append to `X-Forwarded-For`. */
  trustedProxyHops: Env.integer("TRUSTED_PROXY_HOPS", 0, 100).pipe(withDefault(0)),
  /** Shares the counters of all replicas. */
  redisUrl: Env.optional(Env.redisUrl("REDIS_URL"))
})

const jwks = Config.all({
  refreshEnabled: Env.boolean("JWKS_REFRESH_ENABLED").pipe(withDefault(true)),
  refreshIntervalMs: Env.integer("JWKS_REFRESH_INTERVAL_MS", 1000).pipe(withDefault(900_000)),
  staleAfterMs: Env.integer("JWKS_STALE_AFTER_MS", 1000).pipe(withDefault(HOUR_MS)),
  fetchTimeoutMs: Env.integer("JWKS_FETCH_TIMEOUT_MS", 1).pipe(withDefault(10_000))
})

const retention = Config.all({
  enabled: Env.boolean("RETENTION_ENABLED").pipe(withDefault(true)),
  intervalMs: Env.integer("RETENTION_INTERVAL_MS", 1).pipe(withDefault(1_800_000)),
  /** Rows per statement; a sweep repeats until done. */
  batchLimit: Env.integer("RETENTION_BATCH_LIMIT", 1).pipe(withDefault(10_000)),
  /** Days; 0 keeps for ever. */
  auditEventsDays: Env.integer("AUDIT_EVENTS_TTL_DAYS", 0).pipe(withDefault(90)),
  webhookDeliveryDays: Env.integer("WEBHOOK_DELIVERY_TTL_DAYS", 0).pipe(withDefault(14)),
  adminAuditDays: Env.integer("ADMIN_AUDIT_TTL_DAYS", 0).pipe(withDefault(365)),
  idempotencyKeyDays: Env.integer("IDEMPOTENCY_KEY_TTL_DAYS", 0).pipe(withDefault(7)),
  expiredAgentGraceDays: Env.integer("EXPIRED_AGENT_GRACE_DAYS", 0).pipe(withDefault(30)),
  /** Pause in ms between two looks for agents whose manifest has expired. */
  expirySweepIntervalMs: Env.integer("EXPIRY_SWEEP_INTERVAL_MS", 1).pipe(withDefault(60_000))
})

const log = Config.all({
  /** Ed25519 seed of the checkpoint note key. Unset: derived from the service's seed. */
  signingSeedHex: Env.optional(Env.seedHex("LOG_SIGNING_SEED_HEX")),
  /** Origin line of the checkpoints. Unset: host and path of `CP_BASE_URL`, then `/log`. */
  origin: Env.optional(Env.noteName("LOG_ORIGIN")),
  /** Verifier keys and URLs of the witnesses asked for cosignatures. */
  witnesses: Env.witnesses("LOG_WITNESSES").pipe(withDefault([])),
  /** Cosignatures that make a checkpoint count as witnessed; 0 = none needed. */
  witnessQuorum: Env.integer("LOG_WITNESS_QUORUM", 0).pipe(withDefault(0))
})

const telemetry = Config.all({
  logLevel: Env.word("LOG_LEVEL", LEVELS).pipe(withDefault("info")),
  /** Unset: json in production, else pretty. */
  logFormat: Env.optional(Env.word("LOG_FORMAT", ["json", "pretty"])),
  otelEnabled: Env.boolean("OTEL_ENABLED").pipe(withDefault(false)),
  otelServiceName: Env.string("OTEL_SERVICE_NAME").pipe(withDefault("aitp-control-plane")),
  /** `/v1/traces` is appended. */
  otelEndpoint: Env.optional(Env.httpUrl("OTEL_EXPORTER_OTLP_ENDPOINT")),
  /** Used verbatim; wins over `otelEndpoint`. */
  otelTracesEndpoint: Env.optional(Env.httpUrl("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
})

const variables = Config.all({
  production,
  server,
  database,
  keys,
  revocation,
  mirror,
  webhooks,
  events,
  stream,
  rateLimit,
  jwks,
  retention,
  log,
  telemetry
})

export type Settings = Config.Success<typeof variables>

/** The environment cannot be used; `message` is one line that names the variable and the reason. */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()("InvalidConfig", {
  message: Schema.String
}) {}

/** Secrets shorter than this are refused (production) or make enrolment answer 503. */
export const ENROLLMENT_SECRET_MIN = 32

/** What production refuses to start without; undefined when all is there. */
const productionRefusal = (settings: Settings): string | undefined => {
  if (!settings.production) return undefined
  if (settings.database.url === undefined) return "DATABASE_URL: required in production"
  if (settings.keys.aidSeedHex === undefined) return "CP_AID_SEED_HEX: required in production"
  const secret = settings.keys.enrollmentSecret
  return secret === undefined || Redacted.value(secret).length < ENROLLMENT_SECRET_MIN
    ? `ENROLLMENT_SECRET: at least ${ENROLLMENT_SECRET_MIN} characters required in production`
    : undefined
}

/** What the transparency log refuses to start with. */
const logRefusal = ({ keys, log }: Settings): string | undefined => {
  const [seed, aidSeed] = [log.signingSeedHex, keys.aidSeedHex]
  if (seed !== undefined && aidSeed !== undefined && Redacted.value(seed) === Redacted.value(aidSeed))
    return "LOG_SIGNING_SEED_HEX: must not be the seed of the AID"
  return log.witnessQuorum > log.witnesses.length
    ? "LOG_WITNESS_QUORUM: more than there are witnesses in LOG_WITNESSES"
    : undefined
}

/** Settings that work but deserve an operator's eye, as variable name and reason. */
export const configWarnings = (
  settings: Settings
): ReadonlyArray<readonly [name: string, reason: string]> => {
  const warnings: Array<readonly [string, string]> = []
  const { keys, server } = settings
  if (settings.production) {
    if (!server.baseUrl.startsWith("https://"))
      warnings.push(["CP_BASE_URL", "is not https; agents refuse plain http"])
    if (server.corsOrigins === undefined)
      warnings.push(["CORS_ORIGIN", "is unset; every origin may call the API"])
    if (keys.apiKeys.length === 0) warnings.push(["API_KEYS", "is empty; every gated route answers 503"])
    return warnings
  }
  if (keys.apiKeys.length === 0) warnings.push(["API_KEYS", "is empty; every route is open"])
  if (
    keys.enrollmentSecret !== undefined &&
    Redacted.value(keys.enrollmentSecret).length < ENROLLMENT_SECRET_MIN
  ) {
    warnings.push([
      "ENROLLMENT_SECRET",
      `is shorter than ${ENROLLMENT_SECRET_MIN} characters; enrolment answers 503`
    ])
  }
  return warnings
}

const oneLine = (error: Config.ConfigError): string => {
  const [, reason, name] = /^(?:SchemaError\()?([\s\S]*?)\s*at \["([^"]+)"\]/.exec(error.message) ?? []
  return name === undefined ? error.message.replace(/\s+/g, " ") : `${name}: ${reason ?? "invalid"}`
}

export class AppConfig extends Context.Service<AppConfig, Settings>()("cp/AppConfig") {
  static readonly layer = Layer.effect(
    AppConfig,
    Effect.gen(function* () {
      const settings = yield* Effect.mapError(
        variables,
        (error) => new InvalidConfig({ message: oneLine(error) })
      )
      const refusal = productionRefusal(settings) ?? logRefusal(settings)
      if (refusal !== undefined) return yield* new InvalidConfig({ message: refusal })
      return settings
    })
  )
}
