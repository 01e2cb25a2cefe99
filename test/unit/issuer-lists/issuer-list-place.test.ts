import { assert, describe, it } from "@effect/vitest"
import { listPlace } from "../../../src/issuer-lists/list-place.ts"
import { makeAgent } from "../../support/aitp/agent.ts"
import { mintManifest } from "../../support/aitp/mint-manifest.ts"

const KEY = "rfc-aitp-0008.revocation_list_uri"

const placeIn = (extensions: unknown) =>
  listPlace(mintManifest(makeAgent(), extensions === undefined ? {} : { extensions }).text)

describe("where a manifest says that the list is", () => {
  it("is the extension's text as it is written, and the host to be asked", () => {
    for (const [uri, host] of [
      ["https://Issuer.Example/list?a=%31#x", "issuer.example"],
      ["https://issuer.example:8443/", "issuer.example:8443"],
      ["https://issuer.example:443/", "issuer.example"],
      ["http://0x7f.1/list", "127.0.0.1"],
      ["https://[::1]:4000/", "[::1]:4000"],
      ["urn:list", ""],
      ["no url", ""],
      ["", ""]
    ] as const) {
      assert.deepEqual(placeIn({ [KEY]: uri }), { uri, host })
    }
  })

  it("is nowhere without the extension or with one that is no text", () => {
    for (const extensions of [
      undefined,
      {},
      { revocation_list_uri: "https://issuer.example/" },
      { [KEY]: null },
      { [KEY]: 7 },
      { [KEY]: ["https://issuer.example/"] },
      { [KEY]: "https://issuer.example/\0" },
      { [KEY]: `https://issuer.example/${"x".repeat(2048)}` }
    ]) {
      assert.isUndefined(placeIn(extensions), JSON.stringify(extensions))
    }
    for (const body of ["", "{}", "null", '{"manifest":7}', '{"manifest":{"extensions":[]}}']) {
      assert.isUndefined(listPlace(body), body)
    }
  })
})
