import { Cause, Context, Effect, Layer, Logger, type LogLevel, References, Tracer } from "effect"
import { AppConfig, type Settings } from "../config.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"

const levels: Readonly<Record<Settings["telemetry"]["logLevel"], LogLevel.LogLevel>> = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  fatal: "Fatal"
}

/** Values as they may stand in a line: errors by their message, the rest as JSON sees it. */
const printable = (value: unknown): unknown =>
  value instanceof Error ? `${value.name}: ${value.message}` : value

const messageOf = (message: unknown): unknown => {
  if (!Array.isArray(message)) return printable(message)
  const parts = message.map(printable)
  return parts.length === 1 ? parts[0] : parts
}

/** Whatever it holds, a record becomes a line: logging must not be what fails. */
const encode = (record: Record<string, unknown>): string => {
  try {
    return JSON.stringify(record, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))
  } catch {
    return JSON.stringify({ ...record, message: String(record["message"]), annotations: undefined })
  }
}

/** One JSON object per record; what is logged while a request is answered carries its id, and that of its trace. */
const json = Logger.make<unknown, void>(({ cause, date, fiber, logLevel, message }) => {
  const request = Context.getOrUndefined(fiber.context, CurrentRequest)
  const annotations = fiber.getRef(References.CurrentLogAnnotations)
  const record: Record<string, unknown> = {
    time: date.toISOString(),
    level: logLevel.toLowerCase(),
    message: messageOf(message)
  }
  if (request !== undefined) record["requestId"] = request.id
  const span = Context.getOrUndefined(fiber.context, Tracer.ParentSpan)
  if (span !== undefined) record["traceId"] = span.traceId
  if (Object.keys(annotations).length > 0) record["annotations"] = annotations
  if (cause.reasons.length > 0) record["cause"] = Cause.pretty(cause)
  process.stdout.write(`${encode(record)}\n`)
})

const ignore = () => {}

/** A log collector that went away is no reason to stop serving; without a listener Node would exit. */
const keepServing = Layer.effectDiscard(
  Effect.acquireRelease(
    Effect.sync(() => process.stdout.on("error", ignore)),
    () => Effect.sync(() => process.stdout.off("error", ignore))
  )
)

/** Loggers and level as configured: JSON in production or with `LOG_FORMAT=json`, else for people. */
export const layer = Layer.unwrap(
  Effect.map(AppConfig, ({ production, telemetry }) =>
    Layer.mergeAll(
      keepServing,
      Logger.layer([
        (telemetry.logFormat ?? (production ? "json" : "pretty")) === "json" ? json : Logger.consolePretty()
      ]),
      Layer.succeed(References.MinimumLogLevel, levels[telemetry.logLevel])
    )
  )
)
