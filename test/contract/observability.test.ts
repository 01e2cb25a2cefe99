import { readFileSync } from "node:fs"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { send } from "../support/service/client.ts"
import { anyService } from "../support/service/Service.ts"

const text = (name: string) =>
  readFileSync(new URL(`../../docs/observability/${name}`, import.meta.url), "utf8")

/** Names of series in queries, without what a histogram appends to its own. */
const namesIn = (queries: string) =>
  new Set(
    [...queries.matchAll(/\b(?:aitp_control_plane|process)_[a-z_]+/g)].map(([name]) =>
      name.replace(/_(?:bucket|sum|count)$/, "")
    )
  )

layer(anyService, { timeout: "60 seconds", excludeTestServices: true })("dashboard and alert rules", (it) => {
  it.effect.each(["dashboard.json", "alerts.yml"])("%s names only metrics that exist", (file) =>
    Effect.gen(function* () {
      yield* send("/api/events/history", { key: true })
      const page = (yield* send("/api/metrics", { key: true })).text
      const exposed = new Set([...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
      const named = namesIn(text(file))
      assert.isAtLeast(named.size, 10)
      assert.deepEqual(
        [...named].filter((name) => !exposed.has(name)),
        []
      )
    })
  )
})
