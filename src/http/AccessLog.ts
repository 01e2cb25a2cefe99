import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { iso } from "../wire/time.ts"

/** One answered request. */
export interface AccessRecord {
  readonly requestId: string
  readonly method: string
  /** Without the query, which may hold what must not be logged. */
  readonly path: string
  readonly route: string
  readonly status: number
  readonly ms: number
  readonly actor: string
}

const FLUSH_MS = 100
const FLUSH_CHARS = 16_384

const unprintable = /[^\x21-\x7e]/g

/** ISO text of now, made once per millisecond. */
const clock = () => {
  let ms = 0
  let text = ""
  return (): string => {
    const now = Date.now()
    if (now !== ms) {
      ms = now
      text = iso(now)
    }
    return text
  }
}

const pretty = (record: AccessRecord, now: string): string =>
  `[${now.slice(11, 23)}] ${record.method} ${record.path.replace(unprintable, "?")} ` +
  `${record.status} ${record.ms.toFixed(1)}ms ${record.actor} ${record.requestId}\n`

const json = (record: AccessRecord, now: string): string =>
  `{"time":"${now}","level":"info","message":"request","requestId":${JSON.stringify(record.requestId)},` +
  `"method":"${record.method}","path":${JSON.stringify(record.path)},"route":"${record.route}",` +
  `"status":${record.status},"ms":${record.ms.toFixed(1)},"actor":"${record.actor}"}\n`

/**
 * A line per answered request, written in batches: the platform's logger costs more than the rest of the request.
 * Silent above level info.
 */
export class AccessLog extends Context.Service<
  AccessLog,
  { readonly write: (record: AccessRecord) => void }
>()("cp/http/AccessLog") {
  static readonly layer = Layer.effect(
    AccessLog,
    Effect.gen(function* () {
      const { production, telemetry } = yield* AppConfig
      if (!["trace", "debug", "info"].includes(telemetry.logLevel)) return AccessLog.of({ write: () => {} })
      const line = (telemetry.logFormat ?? (production ? "json" : "pretty")) === "json" ? json : pretty
      const now = clock()
      let lines = ""
      const flush = () => {
        if (lines === "") return
        process.stdout.write(lines)
        lines = ""
      }
      const timer = setInterval(flush, FLUSH_MS)
      timer.unref()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          clearInterval(timer)
          flush()
        })
      )
      return AccessLog.of({
        write: (record) => {
          lines += line(record, now())
          if (lines.length > FLUSH_CHARS) flush()
        }
      })
    })
  )

  /** No lines; for tests. */
  static readonly layerSilent = Layer.succeed(AccessLog, { write: () => {} })
}
