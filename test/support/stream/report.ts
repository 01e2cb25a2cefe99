import { Effect } from "effect"
import { type Answer, sendTo } from "../service/client.ts"
import type { Endpoint } from "./subscriber.ts"

/** Reports events to this replica; dies unless they are taken. Gives the position of the last one. */
export const report = (service: Endpoint, events: ReadonlyArray<object>): Effect.Effect<string> =>
  sendTo(service, "/api/events", { body: events, key: true }).pipe(
    Effect.filterOrFail((answer: Answer) => answer.status === 200),
    Effect.map((answer) => answer.json<{ readonly position: string }>().position),
    Effect.orDie
  )

/** A sample of the metrics page; 0 when it is not there. */
export const metric = (service: Endpoint, name: string): Effect.Effect<number> =>
  Effect.map(Effect.orDie(sendTo(service, "/api/metrics")), ({ text }) => {
    const line = text.split("\n").find((each) => each.startsWith(`aitp_control_plane_${name} `))
    return Number(line?.split(" ")[1] ?? 0)
  })

export const seqOf = (position: string): number => Number(position.split(".")[1])

/** Reports events and waits until this replica's streams have them, so that what a new one replays is certain. */
export const reportAndStream = (service: Endpoint, events: ReadonlyArray<object>): Effect.Effect<string> =>
  Effect.tap(report(service, events), (position) =>
    // a position ahead of the replica is waited for
    sendTo(service, `/api/events?after=${position}`, { key: true }).pipe(
      Effect.filterOrFail((answer: Answer) => answer.status === 200),
      Effect.orDie
    )
  )
