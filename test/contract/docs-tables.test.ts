import { readdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { parse } from "yaml"
import { AppConfig } from "../../src/config.ts"
import { catalogue } from "../../src/wire/catalogue.ts"
import { documentAt, fileText, root, variables } from "../support/docs/documents.ts"
import { codeIn, rowsOf, sectionOf } from "../support/docs/tables.ts"
import { send } from "../support/service/client.ts"
import { Control, isRemote, ownService } from "../support/service/Service.ts"

/** All sources in one text. */
const source = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => fileText(`src/${file}`))
  .join("\n")

const sorted = (values: Iterable<string>) => [...values].toSorted()

const settingsOf = (environment: Readonly<Record<string, string>>) =>
  AppConfig.pipe(
    Effect.provide(
      AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment))))
    )
  )

/** Whether a variable that is not set leaves something unset, or an empty list or text. */
const isUnsetByDefault = (name: string): boolean =>
  new RegExp(
    `optional\\(\\s*Env\\.\\w+\\(\\s*"${name}"|Env\\.\\w+\\(\\s*"${name}"[^"]*?\\)\\.pipe\\(withDefault\\((?:\\[\\]|"")\\)`
  ).test(fileText("src/config.ts"))

describe("the configuration table of the README", () => {
  const rows = rowsOf(sectionOf(fileText("README.md"), "Configuration"))
  const listed = rows.flatMap(([names = "", defaults = ""]) => {
    const values = defaults.split(" · ")
    assert.lengthOf(values, codeIn(names).length, names)
    return codeIn(names).map((name, index) => [name, values[index] ?? ""] as const)
  })

  it("has exactly the variables that the configuration reads, each once", () => {
    assert.deepEqual(sorted(listed.map(([name]) => name)), sorted(variables))
  })

  it.effect("has their defaults", () =>
    Effect.gen(function* () {
      const defaults = yield* settingsOf({})
      for (const [name, value] of listed) {
        if (value === "–") assert.isTrue(isUnsetByDefault(name), name)
        else {
          assert.isFalse(isUnsetByDefault(name), name)
          assert.deepEqual(yield* settingsOf({ [name]: value }), defaults, name)
        }
      }
    })
  )
})

it("the error catalogue has every code with its status and members, and no other", () => {
  const rows = rowsOf(documentAt("docs/errors.md").text)
  assert.deepEqual(
    sorted(rows.map(([code = "", status = ""]) => `${codeIn(code).join()} ${status}`)),
    sorted([...catalogue.values()].map(({ code, status }) => `${code} ${status}`))
  )
  for (const [code = "", , meaning = ""] of rows) {
    const members = catalogue.get(codeIn(code)[0] ?? "")?.members ?? []
    assert.includeMembers(
      [...codeIn(meaning)],
      members.filter((member) => member !== "error" && member !== "code"),
      code
    )
  }
})

interface AlertRules {
  readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<{ readonly alert: string }> }>
}

it("the runbook has every alert, and no other", () => {
  const { groups } = parse(fileText("docs/observability/alerts.yml")) as AlertRules
  assert.deepEqual(
    sorted(
      rowsOf(sectionOf(documentAt("docs/operations.md").text, "Alerts")).flatMap(([name = ""]) =>
        codeIn(name)
      )
    ),
    sorted(groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)))
  )
})

it("the operator guide names actions of the audit that a source names", () => {
  const rows = rowsOf(sectionOf(documentAt("docs/operator-guide.md").text, "Who did what"))
  const actions = rows.flatMap(([, named = ""]) => codeIn(named))
  assert.isAbove(actions.length, 10)
  assert.deepEqual(
    actions.filter((action) => !source.includes(`"${action}"`)),
    []
  )
})

it("the README says what each folder of the sources holds", () => {
  const named = codeIn(sectionOf(fileText("README.md"), "Where things are"))
  const folders = readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `src/${name}`)
  assert.includeMembers([...named], folders)
})

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      { readonly environment?: Readonly<Record<string, string>>; readonly stop_grace_period?: string }
    >
  >
}

it("docker-compose.yml sets variables that the service reads, and lets it drain", () => {
  const { services } = parse(fileText("docker-compose.yml")) as Compose
  const service = services["control-plane"]
  assert.isDefined(service)
  for (const name of Object.keys(service?.environment ?? {})) assert.isTrue(variables.has(name), name)
  assert.isAbove(Number.parseInt(service?.stop_grace_period ?? "0", 10), 10)
})

describe.skipIf(isRemote)("what a running service has", () => {
  layer(ownService(), { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("in metrics, docs/metrics.md has with its type, and nothing that no source names", () =>
      Effect.gen(function* () {
        yield* send("/api/events/history", { key: true })
        const page = (yield* send("/api/metrics")).text
        const exposed = [...page.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(
          ([, name = "", type]) => `${name.replace("aitp_control_plane_", "")} ${type}`
        )
        const listed = rowsOf(documentAt("docs/metrics.md").text).flatMap(([names = "", type = ""]) =>
          codeIn(names).map((name) => `${name} ${type}`)
        )
        assert.strictEqual(new Set(listed).size, listed.length)
        assert.deepEqual(
          exposed.filter((metric) => !listed.includes(metric)),
          []
        )
        const names = listed.map((metric) => metric.split(" ")[0] ?? "")
        assert.deepEqual(
          names.filter((name) => !new RegExp(`["}\`]${name}["\`]`).test(source)),
          []
        )
      })
    )

    it.effect("in tables, docs/data-model.md has with its key, and no other", () =>
      Effect.gen(function* () {
        const { sql } = yield* Control
        const tables = yield* sql<{ readonly name: string; readonly key: string }>`
          select c.relname as name, string_agg(a.attname, ', ' order by k.n) as key
          from pg_class c
          join pg_index i on i.indrelid = c.oid and i.indisprimary
          cross join lateral unnest(i.indkey) with ordinality as k (attnum, n)
          join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
          where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = current_schema()::regnamespace
          group by c.relname`
        assert.deepEqual(
          sorted(
            rowsOf(documentAt("docs/data-model.md").text).map(
              ([name = "", key = ""]) => `${codeIn(name).join()}: ${codeIn(key).join(", ")}`
            )
          ),
          sorted(tables.map(({ key, name }) => `${name}: ${key}`))
        )
      })
    )
  })
})
