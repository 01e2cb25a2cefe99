import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { MAX_INLINE, TokenVerifier } from "../../../src/events/TokenVerifier.ts"
import { MAX_VERIFIED, type Tokens } from "../../../src/events/tokens.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintTct } from "../../support/aitp/mint-tokens.ts"

const [issuer, subject] = [makeAgent(), makeAgent()]
const good = Array.from({ length: MAX_VERIFIED + 4 }, () => mintTct(issuer, subject).token)
const bad = good.map((token) => `${token.slice(0, -6)}AAAAAA`)

const results = (tokens: Tokens, texts: ReadonlyArray<string>) =>
  texts.map((text) => {
    const token = tokens.get(tokens.replaceIn(text))
    return token === undefined ? undefined : tokens.isVerified(token)
  })

// Real time: a thread has to start.
layer(TokenVerifier.layer, { excludeTestServices: true })("token verifier", (it) => {
  it.effect("checks few tokens at once and many in its thread, with the same results", () =>
    Effect.gen(function* () {
      const { inspect } = yield* TokenVerifier
      for (const count of [1, MAX_INLINE, MAX_INLINE + 1, MAX_VERIFIED / 2]) {
        const items = good
          .slice(0, count)
          .flatMap((token, index) => [{ token }, { text: `Bearer ${bad[index] ?? ""}` }])
        const tokens = yield* inspect(items)
        assert.deepStrictEqual(
          results(tokens, good.slice(0, count)),
          Array.from({ length: count }, () => true)
        )
        assert.deepStrictEqual(
          results(tokens, bad.slice(0, count)),
          Array.from({ length: count }, () => false)
        )
        assert.strictEqual(tokens.unchecked, 0)
      }
    })
  )

  it.effect("keeps the jobs of concurrent requests apart", () =>
    Effect.gen(function* () {
      const { inspect } = yield* TokenVerifier
      const requests = Array.from({ length: 12 }, (_, n) =>
        (n % 2 === 0 ? good : bad).slice(n, n + MAX_INLINE + 2)
      )
      const all = yield* Effect.forEach(requests, (texts) => inspect(texts), { concurrency: "unbounded" })
      for (const [n, tokens] of all.entries()) {
        assert.isTrue(results(tokens, requests[n] ?? []).every((verified) => verified === (n % 2 === 0)))
      }
    })
  )

  it.effect("leaves what is beyond the limit of one request unchecked", () =>
    Effect.gen(function* () {
      const { inspect } = yield* TokenVerifier
      const tokens = yield* inspect(good)
      assert.strictEqual(tokens.unchecked, 4)
      assert.deepStrictEqual(results(tokens, good.slice(-5)), [true, null, null, null, null])
    })
  )

  it.effect("does nothing for reports without tokens", () =>
    Effect.gen(function* () {
      const { inspect } = yield* TokenVerifier
      const tokens = yield* inspect([{ type: "t", payload: { a: "x.y.z" } }, 7, null])
      assert.deepStrictEqual([tokens.toVerify(), tokens.unchecked], [[], 0])
    })
  )
})
