import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { keyOfAid } from "../../src/aitp/aid.ts"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { agentPath, enroll, join, joined, newAgent, register, tokenFor } from "../support/service/agents.ts"
import { outcomeOf, read, send } from "../support/service/client.ts"
import { assertEnvelope } from "../support/service/envelope.ts"
import { Control, isRemote, ownService } from "../support/service/Service.ts"

/** Order of the group of Ed25519, little-endian. */
const L = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n

/** Numbers of 32 bytes, little-endian. */
const toNumber = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`)
const toBytes = (value: bigint) =>
  Buffer.from(Buffer.from(value.toString(16).padStart(64, "0"), "hex").toReversed())

/** The other texts that decode to the same bytes where a decoder is lenient. */
const respelt = (text: string): ReadonlyArray<string> => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  const last = alphabet.indexOf(text.at(-1) ?? "")
  return [
    `${text}=`,
    `${text}==`,
    text.slice(0, -1) + alphabet[last + 1], // stray bits behind the last byte
    `${text}\n`,
    ` ${text}`,
    text.replaceAll("-", "+").replaceAll("_", "/") + "="
  ].filter((each) => each !== text)
}

/** Texts that people, or careless comparisons, take for the AID. */
const lookAlikes = (aid: string): ReadonlyArray<string> => {
  const key = aid.split(":").at(-1) ?? ""
  const prefix = aid.slice(0, -key.length)
  const flipped = [...key].findIndex((character) => character.toLowerCase() !== character.toUpperCase())
  const other = key[flipped] ?? ""
  const swapped = other === other.toLowerCase() ? other.toUpperCase() : other.toLowerCase()
  return [
    ...respelt(key).map((each) => prefix + each),
    prefix + key.slice(0, flipped) + swapped + key.slice(flipped + 1),
    aid.toUpperCase(),
    `AID${aid.slice(3)}`,
    aid.replace("pubkey", "PubKey"),
    aid.replace("a", "\u0430"), // Cyrillic
    aid.replace("k", "\u212a"), // Kelvin sign, which folds to k
    aid.replace(":", "\uff1a"),
    `${aid}\u200b`,
    `\u202e${aid}`,
    `${aid}\0`,
    aid.replace("aid:pubkey:", "aid:pubkey::"),
    aid.replace("aid:pubkey:", "aid:pubkey:p256:")
  ]
}

/** Keys of small order, under which one signature fits every message, and points that are written in two ways. */
const badKeys = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
]

const withSignature = (text: string, signature: string): string => {
  const { manifest } = JSON.parse(text) as { manifest: object } // minted here
  return JSON.stringify({ manifest: { ...manifest, signature } })
}

describe.skipIf(isRemote)("who an agent is", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("is not told by a text that looks like its AID", () =>
      Effect.gen(function* () {
        const { aid, minted } = yield* joined()
        const agents = () => read<{ agents: ReadonlyArray<unknown> }>("/api/registry/agents?limit=1000")
        const before = (yield* agents()).agents.length
        for (const text of lookAlikes(aid)) {
          const found = yield* send(agentPath(text), { key: true })
          assert.include([400, 404], found.status, JSON.stringify(text))
          const listed = yield* send(`/api/registry/agents?aid=${encodeURIComponent(text)}`, { key: true })
          if (listed.status === 200)
            assert.deepInclude(listed.json<object>(), { agents: [] }, JSON.stringify(text))
          else assertEnvelope(listed)
          const removed = yield* send(agentPath(text), { key: true, method: "DELETE" })
          assert.include([400, 404], removed.status, JSON.stringify(text))
          const manifest = JSON.stringify({ manifest: { ...minted.manifest, aid: text } })
          assert.strictEqual(outcomeOf(yield* enroll(manifest)), "400 MANIFEST_INVALID", JSON.stringify(text))
        }
        assert.strictEqual((yield* agents()).agents.length, before)
        assert.strictEqual((yield* send(agentPath(aid), { key: true })).status, 200)
      })
    )

    it.effect("is not taken over by the other spelling of its AID, also under its own key", () =>
      Effect.gen(function* () {
        const { agent, aid } = yield* joined()
        const other = { ...agent, aid: aid.replace("aid:pubkey:", "aid:pubkey:ed25519:") as typeof aid }
        assert.strictEqual(outcomeOf(yield* enroll(mintManifest(other).text)), "409 AID_FORM_CONFLICT")
      })
    )

    it.effect("is never a key of small order or a point that has two spellings", () =>
      Effect.gen(function* () {
        const sound = mintManifest(newAgent())
        // R of the neutral element and S = 0 satisfy the equation of every key of small order
        const forged = Buffer.concat([Buffer.from(badKeys[1] ?? "", "hex"), Buffer.alloc(32)]).toString(
          "base64url"
        )
        for (const hex of badKeys) {
          for (const form of ["", "ed25519:"]) {
            const aid = `aid:pubkey:${form}${Buffer.from(hex, "hex").toString("base64url")}`
            const manifest = {
              ...sound.manifest,
              aid,
              proof_of_possession: { ...sound.manifest.proof_of_possession, signature: forged },
              signature: forged
            }
            assert.strictEqual(
              outcomeOf(yield* enroll(JSON.stringify({ manifest }))),
              "400 MANIFEST_INVALID",
              hex
            )
          }
        }
      })
    )

    it.effect("is proven by one signature, not by others that satisfy the same equation", () =>
      Effect.gen(function* () {
        const minted = mintManifest(newAgent())
        const signature = Buffer.from(minted.manifest.signature, "base64url")
        const plusL = Buffer.concat([
          signature.subarray(0, 32),
          toBytes(toNumber(signature.subarray(32)) + L)
        ])
        const malleated = [
          plusL.toString("base64url"),
          ...respelt(minted.manifest.signature),
          `ED25519.${minted.manifest.signature}`,
          `p256.${minted.manifest.signature}`,
          `ed25519.ed25519.${minted.manifest.signature}`
        ]
        for (const each of malleated)
          assert.strictEqual(
            outcomeOf(yield* enroll(withSignature(minted.text, each))),
            "400 MANIFEST_INVALID",
            each
          )
        const agent = newAgent("p256")
        const p256 = mintManifest(agent)
        const [tag = "", encoded = ""] = p256.manifest.signature.split(".")
        const bytes = Buffer.from(encoded, "base64url")
        const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
        const s = BigInt(`0x${bytes.subarray(32).toString("hex")}`)
        const high = Buffer.concat([
          bytes.subarray(0, 32),
          Buffer.from((n - s).toString(16).padStart(64, "0"), "hex")
        ])
        assert.strictEqual(
          outcomeOf(yield* enroll(withSignature(p256.text, `${tag}.${high.toString("base64url")}`))),
          "400 MANIFEST_INVALID"
        )
        assert.strictEqual(keyOfAid(agent.aid).alg, "p256")
        yield* join(minted)
        yield* join(p256)
      })
    )

    it.effect("is not changed by steps that are repeated, swapped or mixed", () =>
      Effect.gen(function* () {
        const agent = newAgent()
        const at = Math.floor(Date.now() / 1000)
        const [old, recent] = [at - 100, at - 10].map((published_at) => mintManifest(agent, { published_at }))
        if (old === undefined || recent === undefined) return
        const [oldToken, token] = [yield* tokenFor(old), yield* tokenFor(recent)]
        const stranger = mintManifest(newAgent())
        // a token of one manifest does not register another, in any order
        assert.strictEqual((yield* register(recent.text, oldToken)).status, 401)
        assert.strictEqual((yield* register(stranger.text, token)).status, 401)
        assert.strictEqual((yield* register(recent.text, token)).status, 201)
        for (const again of [token, oldToken])
          assert.strictEqual((yield* register(recent.text, again)).status, 401)
        // the older one was enrolled in time and comes too late
        assert.strictEqual(outcomeOf(yield* register(old.text, oldToken)), "409 MANIFEST_STALE")
        const { process } = yield* Control
        for (const each of [token, oldToken]) assert.notInclude(process.log(), each)
      })
    )
  })
})
