import { readdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { catalogue } from "../../src/wire/catalogue.ts"
import { documentAt, fileText, root } from "../support/docs/documents.ts"
import { codeIn, rowsOf, sectionOf } from "../support/docs/tables.ts"

/**
 * Where the behaviour of each operation is held to what is promised: a black-box suite and the title of one of its tests.
 * That every operation answers as described, whatever it is sent, is the conformance suites' business.
 */
const tested: Readonly<Record<string, readonly [suite: string, title: string]>> = {
  "POST /api/registry/enroll": ["enrolment", "answers exactly the promised members for a sound manifest"],
  "POST /api/registry/agents": [
    "enrolment",
    "answers 201 with exactly the promised members and makes the agent visible"
  ],
  "GET /api/registry/agents": [
    "registry",
    "finds by capability, name in both spellings, namespace and AID, and nothing else"
  ],
  "GET /api/registry/agents/{aid}": [
    "registry",
    "is shown bare, with a tag that changes with the record and with nothing else"
  ],
  "DELETE /api/registry/agents/{aid}": ["registry", "is deregistered with 200 each time and announced once"],
  "GET /api/registry/agents/{aid}/manifest": [
    "registry",
    "has its manifest served byte for byte, with digest and tag"
  ],
  "GET /api/registry/agents/{aid}/export": ["registry", "is exported whole as JSON, with a digest"],

  "POST /api/events": ["ingest", "answers exactly the promised members"],
  "GET /api/events": [
    "stream",
    "is pulled: pages after a position, a wait that ends with the event, refusals"
  ],
  "GET /api/events/history": ["history", "finds by every filter in every spelling, and nothing else"],
  "GET /api/events/{id}": ["ingest", "stores a full event as sent, with nulls for what is absent"],
  "GET /api/events/stream": [
    "stream",
    "continues exactly after any position, in memory or not; the header wins"
  ],
  "GET /api/events/{id}/proof": [
    "log",
    "proves each event, at once after it was stored, to who has nothing but the key"
  ],

  "GET /api/sessions": [
    "reads",
    "filters sessions by either spelling, either party and an alias of the status"
  ],
  "GET /api/sessions/{sessionId}": ["reads", "shows a session with its events in order"],
  "GET /api/sessions/{sessionId}/export": ["reads", "exports a session as one document and as lines"],
  "GET /api/sessions/{sessionId}/replay": [
    "reads",
    "replays a session, bounded by time, and an unknown one as empty"
  ],
  "GET /api/tcts": ["reads", "lists TCTs in exactly the documented form, by every filter"],
  "GET /api/tcts/{jti}": ["reads", "lists TCTs in exactly the documented form, by every filter"],
  "GET /api/delegations": ["reads", "lists delegations, direct children and whole trees"],
  "GET /api/dashboard/overview": [
    "reads-exports",
    "gives the dashboard in exactly the documented form, whatever range is asked for"
  ],
  "GET /api/dashboard/agents": [
    "reads-exports",
    "gives the dashboard in exactly the documented form, whatever range is asked for"
  ],

  "POST /api/revocation/entries": [
    "revocation",
    "answers what was stored, in the promised members, once the list names it"
  ],
  "GET /api/revocation/entries": ["revocation", "lists entries newest first, by cursor and by filters"],
  "GET /api/revocation/entries/{jti}": [
    "revocation",
    "answers what was stored, in the promised members, once the list names it"
  ],
  "GET /api/revocation/impact/{jti}": [
    "revocation",
    "revokes what was observed, shows it beforehand, and applies to what is reported later"
  ],
  "GET /.well-known/aitp-revocation-list": [
    "revocation",
    "is public, the same bytes under both paths, with digest and a strong tag"
  ],
  "GET /api/well-known/aitp-revocation-list": [
    "revocation",
    "is public, the same bytes under both paths, with digest and a strong tag"
  ],
  "GET /api/revocation/changes": [
    "revocation-changes-filter",
    "let a client follow the list by deltas, from the full list on"
  ],
  "GET /api/revocation/filter": [
    "revocation-changes-filter",
    "let a client keep a filter and look up its hits"
  ],
  "GET /api/revocation/status/{jti}": [
    "revocation-changes-filter",
    "let a client keep a filter and look up its hits"
  ],
  "GET /api/revocation/issuers": ["issuer-lists", "are listed by page"],
  "GET /api/revocation/issuers/{aid}/list": [
    "issuer-lists",
    "are served byte for byte as the issuer signed them, with their freshness and with 304"
  ],

  "GET /api/webhooks": ["webhook-subscriptions", "lists oldest first, page by page, without a secret"],
  "POST /api/webhooks": [
    "webhook-subscriptions",
    "answers 201 with exactly the promised members and a secret made here"
  ],
  "GET /api/webhooks/{id}": [
    "webhook-subscriptions",
    "finds one by its id in any case, and answers 404 for every other id on every route"
  ],
  "PATCH /api/webhooks/{id}": ["webhook-subscriptions", "by ${method} change what is given and nothing else"],
  "PUT /api/webhooks/{id}": ["webhook-subscriptions", "by ${method} change what is given and nothing else"],
  "DELETE /api/webhooks/{id}": ["webhook-subscriptions", "answers what was removed, and 404 from then on"],
  "POST /api/webhooks/{id}/rotate-secret": [
    "webhook-subscriptions",
    "answers the new secret and how long the one before stays valid"
  ],
  "GET /api/webhooks/{id}/circuit-breaker": [
    "deliveries",
    "opens after consecutive failures, holds the rest back, and closes with a probe"
  ],
  "POST /api/webhooks/{id}/circuit-breaker/reset": ["deliveries", "can be closed by hand"],
  "POST /api/webhooks/{id}/test": ["deliveries", "is sent once and signed, and says what came of it"],
  "GET /api/webhooks/{id}/deliveries": [
    "deliveries",
    "pages newest first, bound to subscription and filters"
  ],
  "GET /api/webhooks/{id}/deliveries/{deliveryId}": [
    "deliveries",
    "is tried again with the same bytes and id until it is accepted"
  ],
  "POST /api/webhooks/{id}/deliveries/{deliveryId}/redeliver": [
    "deliveries",
    "is final after the last attempt, and can be sent again by hand"
  ],
  "POST /api/webhooks/{id}/recover": [
    "deliveries",
    "sends what failed again, and what a subscription was never given"
  ],

  "GET /api/trust-anchors": ["trust-anchors", "GET lists newest first, by namespace, page by page"],
  "POST /api/trust-anchors": [
    "trust-anchors",
    "POST answers 201 with the record, and the other routes show the same one"
  ],
  "GET /api/trust-anchors/{id}": [
    "trust-anchors",
    "POST answers 201 with the record, and the other routes show the same one"
  ],
  "PATCH /api/trust-anchors/{id}": ["trust-anchors", "PATCH changes what is given, and nothing else"],
  "DELETE /api/trust-anchors/{id}": [
    "trust-anchors",
    "DELETE answers 204 without a body, once; then the issuer can be added again"
  ],
  "GET /api/trust-anchors/{id}/jwks": [
    "trust-key-sets",
    "are served as received soon after an anchor is made, cacheable and with 304"
  ],
  "GET /api/trust-document": [
    "pinned-keys",
    "GET of the trust document shows the pins that count, in the specification's shape"
  ],
  "GET /api/pinned-keys": [
    "pinned-keys",
    "GET and DELETE of one pin look in one namespace, and compare the AID verbatim"
  ],
  "POST /api/pinned-keys": [
    "pinned-keys",
    "POST answers 201 with the record, and GET shows the same one, alone and in the list"
  ],
  "DELETE /api/pinned-keys": [
    "pinned-keys",
    "DELETE answers 204 without a body, once, and says what is missing without an aid"
  ],
  "GET /api/audit": [
    "admin-audit",
    "names action, actor, target, request and details of every act, newest first"
  ],
  "GET /api/audit/verify": ["log", "is what stored events are compared with"],

  "GET /.well-known/aitp-manifest": [
    "operations",
    "is served as the same bytes at both paths, cacheable and with 304"
  ],
  "GET /api/well-known/aitp-manifest": [
    "operations",
    "is served as the same bytes at both paths, cacheable and with 304"
  ],
  "GET /api/aitp/handshake/hello": ["operations", "names an endpoint that refuses every method"],
  "POST /api/aitp/handshake/hello": ["operations", "names an endpoint that refuses every method"],
  "PUT /api/aitp/handshake/hello": ["operations", "names an endpoint that refuses every method"],
  "PATCH /api/aitp/handshake/hello": ["operations", "names an endpoint that refuses every method"],
  "DELETE /api/aitp/handshake/hello": ["operations", "names an endpoint that refuses every method"],
  "GET /.well-known/jwks.json": [
    "deliveries",
    "is signed so that standard libraries, published keys and existing receivers verify it"
  ],

  "GET /log/checkpoint": [
    "log",
    "has a signed checkpoint that anyone may read, and that no cache keeps for long"
  ],
  "GET /log/key": ["log", "has a signed checkpoint that anyone may read, and that no cache keeps for long"],
  "GET /log/tile/{level}/{place}": ["log", "has a tree whose tiles hash to the signed root"],
  "GET /log/tile/entries/{place}": ["log", "shows entries to those who may read events, and to nobody else"],
  "GET /log/consistency": ["log", "proves that it extends what it was"],

  "GET /api/health": ["operations", "answer exactly the promised members"],
  "GET /api/livez": ["operations", "answer exactly the promised members"],
  "GET /api/readyz": ["operations", "answer exactly the promised members"],
  "GET /api/metrics": [
    "operations",
    "are in the text format, every series with TYPE and HELP, under the promised names"
  ],
  "GET /openapi.json": ["operations", "is OpenAPI 3.1 and lists every route"],
  "GET /docs": ["operations", "is readable as a page that loads nothing from elsewhere"],
  "GET /errors/{code}": ["operations", "explains every code it knows, and no other"],
  "GET /.well-known/api-catalog": [
    "operations",
    "has a catalog and a security contact in their registered forms"
  ],
  "GET /.well-known/security.txt": [
    "operations",
    "has a catalog and a security contact in their registered forms"
  ]
}

const suites = new Map(
  readdirSync(join(root, "test/contract"))
    .filter((file) => file.endsWith(".test.ts") && file !== "contract-rows.test.ts")
    .map((file) => [file.replace(".test.ts", ""), fileText(`test/contract/${file}`)] as const)
)
/** Suites that send requests to a process, one text. */
const blackBox = [...suites.values()].filter((text) => text.includes("support/service/")).join("\n")

interface Description {
  readonly paths: Readonly<Record<string, object>>
}

describe("the black-box suites", () => {
  it("name a test for every documented operation, and for no other", () => {
    const { paths } = JSON.parse(fileText("test/contract/openapi.json")) as Description
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
    )
    assert.deepEqual(Object.keys(tested).toSorted(), documented.toSorted())
  })

  it.each(Object.entries(tested))("have the test that is named for %s", (_, [suite, title]) => {
    const text = suites.get(suite) ?? ""
    assert.include(text, "support/service/", `${suite} sends nothing to a process`)
    assert.isTrue(text.includes(`"${title}"`) || text.includes(`\`${title}\``), `${suite}: ${title}`)
  })

  it("see every error code", () => {
    assert.deepEqual(
      [...catalogue.keys()].filter((code) => !new RegExp(`\\b${code}\\b`).test(blackBox)),
      []
    )
  })

  it("see every action of the admin audit", () => {
    const rows = rowsOf(sectionOf(documentAt("docs/operator-guide.md").text, "Who did what"))
    const actions = rows.flatMap(([, named = ""]) => codeIn(named))
    assert.isAbove(actions.length, 15)
    assert.deepEqual(
      actions.filter((action) => !blackBox.includes(action)),
      []
    )
  })

  it("see every event that the service makes itself", () => {
    const section = sectionOf(
      documentAt("docs/events-and-projections.md").text,
      "Events of the service itself"
    )
    const types = rowsOf(section).flatMap(([type = ""]) => codeIn(type))
    assert.isAbove(types.length, 7)
    assert.deepEqual(
      types.filter((type) => !blackBox.includes(type)),
      []
    )
  })
})
