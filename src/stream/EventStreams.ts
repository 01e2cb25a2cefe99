import type { ServerResponse } from "node:http"
import { Cause, Context, Effect, Layer } from "effect"
import { AppConfig } from "../config.ts"
import { Drain } from "../http/Drain.ts"
import { AuditBus } from "./AuditBus.ts"
import { EventStream, type Outlet, type Page, type Surroundings } from "./EventStream.ts"
import { LedgerReader } from "./LedgerReader.ts"
import type { Start } from "./position.ts"
import type { Selection } from "./selection.ts"
import { Slots } from "./Slots.ts"
import { StreamMetrics } from "./StreamMetrics.ts"
import { Wheel } from "./Wheel.ts"

/** A waiting client that accepts no byte for this time in ms is given up; at most twice as long until it is noticed. */
const STALL_MS = 30_000
/** Time in ms that a client has to take what was written before its stream was ended. */
const FAREWELL_MS = 5000
/** How often each stream is looked after, ms. */
const ATTEND_MS = 250
/** Pause in ms before the ledger is read again after a failure. */
const RETRY_READ_MS = 1000
/** Share of the drain window over which streams are ended; the rest is for their last bytes. */
const DRAIN_SHARE = 0.7
/** Reconnection times in ms given to clients of a process that stops: they must not all come back at once. */
const RETRY_MIN_MS = 500
const RETRY_MAX_MS = 5000

/** An open stream, and when it is to end. */
interface Open {
  readonly stream: EventStream
  /** ms since 1970. */
  endsAt: number
}

const between = (min: number, max: number): number => min + Math.random() * (max - min)

const outletOf = (response: ServerResponse, ended: () => void): Outlet => ({
  // Node reports a write to a closed connection as an error of the response.
  write: (bytes) => !response.destroyed && response.write(bytes),
  watch: (waiting) => void response.setTimeout(waiting ? STALL_MS : 0),
  end: () => {
    setTimeout(() => response.destroy(), FAREWELL_MS).unref()
    ended()
  }
})

/**
 * The open event streams of this process. A stream writes shared buffers straight to Node's response instead of being
 * an effect `Stream` of its own: that costs half the memory and CPU (guide §6), and only so is it known when a slow
 * client takes bytes again.
 */
export class EventStreams extends Context.Service<
  EventStreams,
  {
    /** Takes one of the slots for this client; false when there is none. */
    readonly admit: (response: ServerResponse) => boolean
    /** Serves the stream until either side ends it; the head of the answer has been written. */
    readonly serve: (response: ServerResponse, selection: Selection, start: Start) => Effect.Effect<void>
  }
>()("cp/stream/EventStreams") {
  static readonly layer = Layer.effect(
    EventStreams,
    Effect.gen(function* () {
      const { server, stream: settings } = yield* AppConfig
      const { settle, tail } = yield* AuditBus
      const drain = yield* Drain
      const { read } = yield* LedgerReader
      const metrics = yield* StreamMetrics
      const run = Effect.runForkWith(yield* Effect.context<never>())

      const readPage: Surroundings["read"] = (selection, after, done) => {
        const fiber = run(
          read(selection, after).pipe(
            Effect.tapCause((cause) =>
              Cause.hasInterruptsOnly(cause)
                ? Effect.void
                : Effect.logDebug("stream waits for the ledger", cause)
            ),
            Effect.catchCause(() => Effect.as(Effect.sleep(RETRY_READ_MS), undefined)),
            Effect.andThen((page: Page | undefined) => Effect.sync(() => done(page)))
          )
        )
        return () => fiber.interruptUnsafe()
      }
      const around: Surroundings = { tail, read: readPage, counts: metrics, now: () => performance.now() }

      const open = new Set<Open>()
      const end = ({ stream }: Open) =>
        drain.active()
          ? stream.close("shutdown", Math.round(between(RETRY_MIN_MS, RETRY_MAX_MS)))
          : stream.close(undefined)
      const attendants = yield* Wheel.make<Open>(ATTEND_MS, (each) => {
        const now = performance.now()
        if (now >= each.endsAt) end(each)
        else each.stream.attend(now)
      })
      const heartbeats = yield* Wheel.make<Open>(settings.heartbeatMs, ({ stream }) => stream.heartbeat())

      const lifetime = () =>
        settings.maxAgeSecs === 0 ? Number.POSITIVE_INFINITY : settings.maxAgeSecs * between(800, 1200)
      const beforeExit = () => between(0, server.drainMs * DRAIN_SHARE)
      yield* drain.begun.pipe(
        Effect.andThen(
          Effect.sync(() => {
            const now = performance.now()
            for (const each of open) each.endsAt = Math.min(each.endsAt, now + beforeExit())
          })
        ),
        Effect.forkScoped
      )

      const slots = new Slots(settings.maxConnections, metrics.open)
      const admit = (response: ServerResponse) => {
        const admitted = slots.take(response)
        if (!admitted) metrics.rejected()
        return admitted
      }

      const serve = (response: ServerResponse, selection: Selection, start: Start) =>
        Effect.callback<void>((resume) => {
          const { head } = tail.extent
          const stream = new EventStream(
            around,
            outletOf(response, () => resume(Effect.void)),
            selection,
            start._tag === "refused" ? head : start.seq
          )
          const each: Open = {
            stream,
            endsAt: performance.now() + (drain.active() ? beforeExit() : lifetime())
          }
          const leave = [attendants.add(each), heartbeats.add(each)]
          open.add(each)
          metrics.opened()
          response.on("drain", () => stream.drained()).on("timeout", () => stream.stalled())
          stream.open(settings.retryMs)
          if (start._tag === "after") stream.start()
          else if (start._tag === "refused") stream.refuse(start.reason)
          else {
            run(
              Effect.map(settle(start), (settled) =>
                "refused" in settled ? stream.refuse(settled.refused) : stream.start()
              )
            )
          }
          return Effect.sync(() => {
            stream.gone()
            open.delete(each)
            for (const remove of leave) remove()
          })
        })

      return { admit, serve }
    })
  )
}
