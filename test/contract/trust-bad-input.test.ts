import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { unique } from "../support/service/agents.ts"
import { hostileBodies, hostileIds, hostileValues, mutations } from "../support/service/attacks.ts"
import { type Answer, type Options, send } from "../support/service/client.ts"
import { assertEnvelope } from "../support/service/envelope.ts"
import {
  anchor,
  anchorPath,
  ANCHORS,
  DOCUMENT,
  getAnchor,
  PINS,
  quietService
} from "../support/service/trust.ts"

/** Never the service's own fault, and a refusal only in the public form. */
const assertSound = (answer: Answer, context: string) => {
  assert.isBelow(answer.status, 500, `${context}: ${answer.text.slice(0, 200)}`)
  if (answer.status >= 400) assertEnvelope(answer, context)
}

const assertRefusal = (answer: Answer, context: string) => {
  assert.isAtLeast(answer.status, 400, `${context}: ${answer.text.slice(0, 200)}`)
  assertSound(answer, context)
}

type Attack = readonly [context: string, path: string, options: Options]

const attack = (attacks: ReadonlyArray<Attack>, judge: typeof assertSound) =>
  Effect.forEach(
    attacks,
    ([context, path, options]) =>
      Effect.map(send(path, { key: true, ...options }), (answer) => judge(answer, `${path} ${context}`)),
    { concurrency: 16, discard: true }
  )

layer(quietService, { timeout: "60 seconds", excludeTestServices: true })("what is trusted", (it) => {
  it.effect("is not created or changed by any hostile body", () =>
    Effect.gen(function* () {
      const made = yield* anchor({ issuerUrl: "https://issuer.example", namespace: unique("n") })
      const sound = JSON.stringify({ issuerUrl: 1, aid: 1 })
      const routes = [
        ["POST", ANCHORS],
        ["POST", PINS],
        ["PATCH", anchorPath(made.id)]
      ] as const
      for (const [method, path] of routes) {
        const attacks = hostileBodies(sound).map(([name, body]): Attack => [
          `with ${name}`,
          path,
          { method, body }
        ])
        // an object without a member that is known changes nothing, which is no mistake
        yield* attack(attacks, method === "PATCH" ? assertSound : assertRefusal)
      }
      assert.deepEqual(yield* getAnchor(made.id), made)
    })
  )

  it.effect("is answered soundly for every mutation of a sound body", () => {
    const bodies = {
      [ANCHORS]: {
        issuerUrl: "https://issuer.example",
        namespace: unique("n"),
        jwksUrl: "https://k.example",
        label: "l"
      },
      [PINS]: { aid: "a", pubkey: "A".repeat(43), namespace: unique("n"), expiresAt: "2030-01-01" }
    }
    const attacks = Object.entries(bodies).flatMap(([path, body]) =>
      mutations(JSON.stringify(body), 200, 3).map((mutation): Attack => [
        mutation.toString("latin1"),
        path,
        { method: "POST", body: mutation }
      ])
    )
    return attack(attacks, assertSound)
  })

  it.effect("is not found under any hostile id", () => {
    const attacks = hostileIds.flatMap((id) =>
      [
        ["GET", ""],
        ["DELETE", ""],
        ["PATCH", ""],
        ["GET", "/jwks"]
      ].map(([method = "", suffix]): Attack => {
        const body = method === "PATCH" ? { body: { label: "x" } } : {}
        return [method, anchorPath(id, suffix), { method, ...body }]
      })
    )
    return attack(attacks, assertRefusal)
  })

  it.effect("is answered soundly for every hostile query", () => {
    const attacks = hostileValues.flatMap((value) => [
      ...[ANCHORS, PINS].flatMap((path) =>
        ["namespace", "limit", "offset", "cursor"].map((name): Attack => ["", `${path}?${name}=${value}`, {}])
      ),
      ["", `${PINS}?aid=${value}`, {}] satisfies Attack,
      ["", `${PINS}?aid=x&namespace=${value}`, { method: "DELETE" }] satisfies Attack,
      ["", `${PINS}?aid=${value}`, { method: "DELETE" }] satisfies Attack,
      ["", `${DOCUMENT}?namespace=${value}`, {}] satisfies Attack
    ])
    return attack(attacks, assertSound)
  })
})
