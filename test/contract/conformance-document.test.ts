import { assert, layer } from "@effect/vitest"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Effect } from "effect"
import { Api } from "../../src/api.ts"
import * as RouteTable from "../../src/http/RouteTable.ts"
import { describedPath } from "../../src/ops/openapi-requests.ts"
import { catalogue } from "../../src/wire/catalogue.ts"
import { mintManifest } from "../support/aitp/mint-manifest.ts"
import { readVector } from "../support/aitp/vectors.ts"
import { type ApiDescription, describedService, type JsonSchema } from "../support/conformance/description.ts"
import { schemaOf } from "../support/conformance/schemas.ts"
import { agentPath, join, newAgent } from "../support/service/agents.ts"
import { read, send } from "../support/service/client.ts"
import { revoke } from "../support/service/revocations.ts"
import { anyService, isRemote, ownService } from "../support/service/Service.ts"
import { anchor, pin } from "../support/service/trust.ts"

/** The schema that the specification gives for a document. */
const specified = (name: string) => schemaOf(readVector<JsonSchema>(`schemas/aitp-${name}.schema.json`))

/** Schemas of objects with members, in a value and in the components that it refers to. */
const objectsIn = (
  { components }: Pick<ApiDescription, "components">,
  value: unknown,
  seen = new Set<string>()
): ReadonlyArray<JsonSchema> => {
  if (typeof value !== "object" || value === null) return []
  const inner = Object.entries(value).flatMap(([name, member]) => {
    if (name !== "$ref" || typeof member !== "string") return objectsIn({ components }, member, seen)
    if (seen.has(member)) return []
    seen.add(member)
    return objectsIn({ components }, components.schemas[member.split("/").at(-1) ?? ""], seen)
  })
  return "properties" in value ? [value as JsonSchema, ...inner] : inner
}

/** As agents reach it: over https. */
const service = isRemote ? anyService : ownService({ CP_BASE_URL: "https://cp.example" })

layer(service, { timeout: "60 seconds", excludeTestServices: true })("documents", (it) => {
  it.effect("the description is valid OpenAPI 3.1", () =>
    Effect.gen(function* () {
      const { description } = yield* describedService
      assert.match(description.openapi, /^3\.1\./)
      const validator = new Validator()
      const { errors, valid } = yield* Effect.promise(() => validator.validate({ ...description }))
      assert.isTrue(valid, JSON.stringify(errors))
    })
  )

  it.effect("answers in the description say which members their objects may have", () =>
    Effect.gen(function* () {
      const { description, operations } = yield* describedService
      const objects = operations.flatMap(({ described, key }) =>
        objectsIn(description, described.responses).map((schema) => ({ key, schema }))
      )
      assert.isAbove(objects.length, 100)
      assert.deepEqual(
        objects.filter(({ schema }) => !("additionalProperties" in schema || "allOf" in schema)),
        []
      )
    })
  )

  it.effect("every code of the catalogue is described, and told by an operation", () =>
    Effect.gen(function* () {
      const { operations } = yield* describedService
      const told = new Set(
        operations.flatMap(({ described: { responses } }) =>
          [...JSON.stringify(responses).matchAll(/#\/components\/schemas\/(\w+)Encoded/g)].map(
            ([, name]) => name
          )
        )
      )
      // of a method that is none of the path's; no operation answers with it
      const expected = [...catalogue.values()].filter(({ code }) => code !== "METHOD_NOT_ALLOWED")
      assert.deepEqual(
        expected.filter(({ name }) => !told.has(name)).map(({ code }) => code),
        []
      )
      for (const { code, status, title } of catalogue.values()) {
        const entry = yield* read(`/errors/${code}`)
        assert.deepInclude(entry, { code, status, title })
      }
    })
  )

  if (!isRemote) {
    it.effect("the description has every route that is served, and no other", () =>
      Effect.gen(function* () {
        const { operations } = yield* describedService
        const served = RouteTable.make(Api).routes.map(
          ({ method, template }) => `${method} ${describedPath(template.replace(/:(\w+)/g, "{$1}"))}`
        )
        assert.deepEqual(operations.map(({ key }) => key).toSorted(), served.toSorted())
      })
    )
  }

  it.effect("manifests are what the specification says, the service's own and those of agents", () =>
    Effect.gen(function* () {
      const fault = specified("manifest")
      const minted = mintManifest(newAgent(), { display_name: "Ü" })
      const { aid } = yield* join(minted)
      const own = ["/.well-known/aitp-manifest", "/api/well-known/aitp-manifest"]
      // one that is not ours may be reached over http, which the specification does not allow
      for (const path of [...(isRemote ? [] : own), agentPath(aid, "/manifest")]) {
        const answer = yield* send(path)
        assert.strictEqual(answer.status, 200, path)
        assert.isUndefined(fault(answer.json()), path)
      }
      assert.isDefined(fault({ manifest: { ...minted.manifest, colour: "red" } }))
    })
  )

  it.effect("the revocation list is what the specification says", () =>
    Effect.gen(function* () {
      const fault = specified("revocation-list")
      yield* revoke({ reason: "left" })
      yield* revoke()
      for (const path of ["/.well-known/aitp-revocation-list", "/api/well-known/aitp-revocation-list"]) {
        const list = yield* read(path)
        assert.isUndefined(fault(list), path)
        assert.isDefined(fault({ ...list, signature: 1 }))
      }
    })
  )

  it.effect("the trust document is what the specification says", () =>
    Effect.gen(function* () {
      const fault = specified("trust-anchors")
      const namespace = `n-${newAgent().aid.slice(-8)}`
      const { aid } = newAgent()
      yield* anchor({ issuerUrl: "https://issuer.example", namespace })
      yield* pin({ aid, pubkey: aid.slice(-43), namespace })
      const document = yield* read(`/api/trust-document?namespace=${namespace}`)
      assert.isUndefined(fault(document))
      assert.isDefined(fault({ ...document, pinned_keys: [{}] }))
    })
  )
})
