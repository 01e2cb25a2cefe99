import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { describedService } from "../support/conformance/description.ts"
import { eventually } from "../support/db/eventually.ts"
import { unique } from "../support/service/agents.ts"
import { read, send } from "../support/service/client.ts"
import { eventsOfRun, ingest, postEvents } from "../support/service/events.ts"
import { Control, isRemote, ownService } from "../support/service/Service.ts"

const LIMIT = 262_144

/** As many members as fit into a body. */
const filled = (open: string, close: string, member: (n: number) => string): string => {
  const members: Array<string> = []
  let length = open.length + close.length
  for (let next = member(0); length + next.length + 1 <= LIMIT; next = member(members.length)) {
    members.push(next)
    length += next.length + 1
  }
  return open + members.join() + close
}

/** Bodies as large as a body may be, made to be costly. */
const floods: Readonly<Record<string, string>> = {
  "as many members as fit": filled("[{", "}]", (n) => `"${n.toString(36)}":0`),
  // V8 hashes names that look like array indexes by their value
  "names that are indexes far apart": filled("[{", "}]", (n) => `"${(n * 2 ** 20) % 2 ** 32}":0`),
  "names that are indexes, descending": filled("[{", "}]", (n) => `"${4_294_967_294 - n * 4099}":0`),
  // equal under hashes of the form 31·h + c
  "names that collide in simple hashes": filled(
    "[{",
    "}]",
    (n) => `"${n.toString(2).padStart(16, "0").replaceAll("0", "Aa").replaceAll("1", "BB")}":0`
  ),
  "one name, over and over": filled("[{", "}]", () => '"a":0'),
  "empty objects": filled("[[", "]]", () => "{}"),
  "numbers of many digits": filled("[[", "]]", () => "9".repeat(300)),
  "one number of all digits": `[${"9".repeat(LIMIT - 2)}]`,
  "escapes only": `["${"\\u0041".repeat(LIMIT / 6 - 2)}"]`,
  "escaped names only": filled("[{", "}]", (n) => `"\\u0061${n}":0`),
  "backslashes only": `["${"\\\\".repeat(LIMIT / 2 - 4)}"]`,
  "quotes that are escaped": `["${'\\"'.repeat(LIMIT / 2 - 4)}"]`,
  "an open string of escaped quotes": `["${'\\"'.repeat(LIMIT / 2 - 4)}`,
  "runs of digits just too short to matter": filled("[[", "]]", () => `"${"1".repeat(209)}"`),
  "dots and segments": `["${"eyJhbGciOjEyfQ.".repeat(LIMIT / 15 - 1)}"]`,
  "tokens within tokens": `["${"eyJhbGciOjEyfQ"
    .concat(".e30".repeat(2))
    .concat(".")
    .repeat(LIMIT / 23 - 1)}"]`,
  "arrays that open": "[".repeat(LIMIT - 1),
  "objects that open": '{"a":'.repeat(LIMIT / 5 - 1)
}

const pollutions = (mark: string): ReadonlyArray<string> => [
  `{"__proto__":{"${mark}":true,"url":"x","limit":1}}`,
  `{"constructor":{"prototype":{"${mark}":true}}}`,
  `{"\\u005f_proto__":{"${mark}":true}}`,
  `[{"__proto__":{"${mark}":true},"type":"x","payload":{"__proto__":{"${mark}":true},"constructor":{"prototype":{"${mark}":1}}}}]`,
  `{"filter":{"__proto__":{"${mark}":true}},"events":["__proto__","constructor"],"manifest":{"__proto__":{"${mark}":true}}}`
]

describe.skipIf(isRemote)("hostile JSON", () => {
  layer(ownService({ CORS_ORIGIN: "*" }), { timeout: "120 seconds", excludeTestServices: true })((it) => {
    for (const [name, body] of Object.entries(floods)) {
      it.effect(`costs little: ${name}`, () =>
        Effect.gen(function* () {
          assert.isAtMost(body.length, LIMIT)
          const startedAt = performance.now()
          for (const path of ["/api/events", "/api/webhooks", "/api/registry/enroll"]) {
            const answer = yield* send(path, { body, key: true, method: "POST" })
            assert.isBelow(answer.status, 500, `${path}: ${answer.text.slice(0, 200)}`)
          }
          // a machine under load takes a while; what grows with the square of the body takes a minute
          assert.isBelow(performance.now() - startedAt, 5000)
        })
      )
    }

    it.effect("changes no prototype, by any body or query of any route", () =>
      Effect.gen(function* () {
        const mark = unique("polluted")
        const { operations } = yield* describedService
        const membersOf = (path: string) => Effect.map(read(path), (value) => Object.keys(value).toSorted())
        const shown = ["/api/livez", "/api/events/history?limit=1", "/api/webhooks", "/api/trust-anchors"]
        const before = yield* Effect.forEach(shown, membersOf)
        for (const { method, path } of operations) {
          if (path.includes("/stream")) continue
          const target = path.replaceAll(/\{[^}]+\}/g, "__proto__")
          const query = `__proto__[${mark}]=1&constructor[prototype][${mark}]=1&__proto__=${mark}&limit=1&limit=2`
          const asked = yield* send(`${target}?${query}`, {
            key: true,
            method,
            ...(method === "GET" ? {} : { body: "{}" })
          })
          assert.isBelow(asked.status, 500, `${method} ${target}: ${asked.text.slice(0, 200)}`)
          if (method === "GET") continue
          for (const body of pollutions(mark)) {
            const answer = yield* send(target, { key: true, method, body })
            assert.isBelow(answer.status, 500, `${method} ${target}: ${answer.text.slice(0, 200)}`)
          }
        }
        assert.deepEqual(yield* Effect.forEach(shown, membersOf), before)
        assert.notInclude((yield* send("/api/livez")).text, mark)
        const { process } = yield* Control
        assert.notInclude(process.log(), '"level":"error"')
      })
    )

    it.effect("does not change how the JSON of others is read", () =>
      Effect.gen(function* () {
        const run = unique("names")
        // the runtime's parser alone would read the second name as the first
        yield* ingest([{ type: "poison", payload: { [`${run}-shape`]: 1, "note\\": 1 } }])
        const text = `[{"type":"victim","runId":"${run}","payload":{"${run}-shape":1,"note\\"":1}}]`
        assert.strictEqual((yield* postEvents(text)).status, 200)
        const [event] = yield* eventsOfRun(run)
        assert.deepEqual(Object.keys(event?.payload as object), [`${run}-shape`, 'note"'])
      })
    )

    it.effect("leaves the service as it was: nothing grows, everything is answered", () =>
      eventually(send("/api/readyz"), ({ status }) => status === 200)
    )
  })
})
