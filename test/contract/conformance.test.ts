import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { bodyMistakesOf } from "../support/conformance/body-mistakes.ts"
import { parametersIn, requestSchema, successesOf } from "../support/conformance/description.ts"
import { callOf } from "../support/conformance/example.ts"
import { exampleKeys, examplesOf } from "../support/conformance/examples.ts"
import { type Mistake, mistakesOf } from "../support/conformance/mistakes.ts"
import { Prepared } from "../support/conformance/Prepared.ts"
import { triedExamples } from "../support/conformance/try-examples.ts"
import {
  assertNoErrorLogged,
  assertNothingFound,
  briefOf,
  CONCURRENCY,
  tried
} from "../support/conformance/run.ts"
import { type Answer, send } from "../support/service/client.ts"
import { isRemote } from "../support/service/Service.ts"

/** In the order of `Allow`. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

const CONTENT_TYPES = [
  "text/plain",
  "application/xml; charset=utf-16",
  "multipart/form-data; boundary=x",
  "application/x-www-form-urlencoded",
  "\u00e9"
]

const concurrently = { concurrency: CONCURRENCY }

describe.skipIf(isRemote)("conformance", () => {
  layer(Prepared.layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("has an example of every documented operation, and of no other", () =>
      Effect.gen(function* () {
        const { operations } = yield* Prepared
        assert.deepEqual(exampleKeys.toSorted(), operations.map(({ key }) => key).toSorted())
      })
    )

    it.effect("answers every example as documented, and every documented success is seen", () =>
      Effect.gen(function* () {
        const prepared = yield* Prepared
        const seen = new Set<string>()
        const findings = yield* triedExamples(prepared, ({ key }, { headers, status }) => {
          seen.add(`${key} ${status} ${headers["content-type"] ?? ""}`)
        })
        assertNothingFound(findings)
        const documented = prepared.operations.flatMap(({ described: { responses }, key }) =>
          Object.entries(responses).flatMap(([status, { content = { "": {} } }]) =>
            Number(status) < 300 ? Object.keys(content).map((type) => `${key} ${status} ${type}`) : []
          )
        )
        assert.deepEqual(
          documented.filter((each) => !seen.has(each)),
          []
        )
      })
    )

    it.effect("answers every other method of a path with 405 and Allow", () =>
      Effect.gen(function* () {
        const { operations, schemaAt } = yield* Prepared
        const fault = schemaAt("/components/schemas/MethodNotAllowedEncoded")
        const byPath = Map.groupBy(operations, ({ path }) => path)
        yield* Effect.forEach(
          byPath.values(),
          ([operation, ...others]) =>
            Effect.gen(function* () {
              if (operation === undefined) return
              const known = new Set([operation, ...others].map(({ method }) => method))
              if (known.has("GET")) known.add("HEAD")
              const target = operation.path.replace(/\{\w+\}/g, "x")
              for (const method of METHODS.filter((each) => !known.has(each))) {
                const answer = yield* send(target, { method, key: true })
                assert.strictEqual(answer.status, 405, `${method} ${target} ${answer.text}`)
                if (method !== "HEAD") assert.isUndefined(fault(answer.json()), answer.text)
                const allow = [...METHODS.filter((each) => known.has(each)), "OPTIONS"].join(", ")
                assert.strictEqual(answer.headers["allow"], allow, target)
              }
              const preflight = yield* send(target, { method: "OPTIONS" })
              assert.deepEqual([preflight.status, preflight.text], [204, ""], target)
            }),
          concurrently
        )
      })
    )

    it.effect("answers HEAD as GET, without a body, and 304 to who has the version", () =>
      Effect.gen(function* () {
        const { judge, operations, scene } = yield* Prepared
        const findings = yield* Effect.forEach(
          operations.filter(({ method }) => method === "GET"),
          (operation) =>
            Effect.gen(function* () {
              const [example = {}] = yield* examplesOf(operation.key, scene)
              const call = callOf(operation, example, "HEAD")
              const got = yield* send(call.target, call.options)
              const head = { ...call, options: { ...call.options, method: "HEAD" } }
              const { etag } = got.headers
              const found = yield* tried(head, judge, ({ headers, status }) =>
                status === got.status &&
                headers["content-type"] === got.headers["content-type"] &&
                headers["etag"] === etag
                  ? []
                  : [`answers ${status} ${headers["content-type"]} ${headers["etag"]}`]
              )
              if (etag === undefined) return found
              const again = callOf(
                operation,
                { ...example, headers: { ...example.headers, "if-none-match": etag } },
                etag
              )
              const unchanged = yield* tried(again, judge, ({ headers, status }) =>
                status === 304 && headers["etag"] === etag ? [] : [`answers ${status} ${headers["etag"]}`]
              )
              return [...found, ...unchanged]
            }),
          concurrently
        )
        assertNothingFound(findings.flat())
      })
    )

    it.effect("does not look at the content type of a request", () =>
      Effect.gen(function* () {
        const { judge, operations, scene } = yield* Prepared
        const findings = yield* Effect.forEach(
          operations.filter((operation) => requestSchema(operation) !== undefined),
          (operation) =>
            Effect.forEach(CONTENT_TYPES, (type) =>
              Effect.flatMap(examplesOf(operation.key, scene), ([example = {}]) => {
                const headers = { ...example.headers, "content-type": type }
                return tried(callOf(operation, { ...example, headers }, type), judge, ({ status }) =>
                  successesOf(operation).includes(status) ? [] : [`answers ${status}`]
                )
              })
            ),
          concurrently
        )
        assertNothingFound(findings.flat(2))
      })
    )

    it.effect("answers a repeat with the same Idempotency-Key as before, and another request with 422", () =>
      Effect.gen(function* () {
        const { judge, operations, scene } = yield* Prepared
        const keyed = operations.filter((operation) =>
          parametersIn(operation, "header").some(({ name }) => name === "Idempotency-Key")
        )
        assert.isAtLeast(keyed.length, 6)
        const findings = yield* Effect.forEach(
          keyed,
          (operation) =>
            Effect.gen(function* () {
              const [example = {}] = yield* examplesOf(operation.key, scene)
              const headers = { ...example.headers, "idempotency-key": randomUUID() }
              const call = callOf(operation, { ...example, headers }, "keyed")
              const first = yield* send(call.target, call.options)
              const repeat = yield* tried(call, judge, (answer) =>
                answer.status === first.status &&
                answer.text === first.text &&
                answer.headers["idempotency-replayed"] === "true"
                  ? []
                  : [`answers ${answer.status} to a repeat`]
              )
              const other = {
                ...example,
                headers,
                body: { ...(example.body as object | undefined), colour: "red" }
              }
              const reused = yield* tried(callOf(operation, other, "reused"), judge, (answer) =>
                briefOf(answer) === "422 IDEMPOTENCY_KEY_REUSED" ? [] : [`answers ${briefOf(answer)}`]
              )
              return [...repeat, ...reused]
            }),
          concurrently
        )
        assertNothingFound(findings.flat())
      })
    )

    const refused = Effect.fnUntraced(function* (mistakes: ReadonlyArray<Mistake>) {
      const { judge } = yield* Prepared
      const findings = yield* Effect.forEach(
        mistakes,
        ({ call, wanted }) =>
          tried(call, judge, (answer: Answer) =>
            wanted === undefined || wanted.test(briefOf(answer))
              ? []
              : [`answers ${briefOf(answer)}, not ${wanted.source}`]
          ),
        concurrently
      )
      yield* assertNoErrorLogged
      assertNothingFound(findings.flat())
    })

    it.effect(
      "refuses wrong credentials, headers, ids and parameters of every operation as documented",
      () =>
        Effect.gen(function* () {
          const { operations, scene } = yield* Prepared
          const mistakes = yield* Effect.forEach(operations, (operation) =>
            Effect.map(examplesOf(operation.key, scene), ([example = {}]) => mistakesOf(operation, example))
          )
          yield* refused(mistakes.flat())
        }),
      120_000
    )

    it.effect(
      "refuses wrong bodies of every operation as documented",
      () =>
        Effect.gen(function* () {
          const { description, operations, scene, schemaAt } = yield* Prepared
          const mistakes = yield* Effect.forEach(operations, (operation) =>
            Effect.map(examplesOf(operation.key, scene), ([example = {}]) =>
              bodyMistakesOf(description, schemaAt, operation, example)
            )
          )
          yield* refused(mistakes.flat())
        }),
      120_000
    )
  })
})
