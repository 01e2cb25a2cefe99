import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = new URL("../../", import.meta.url).pathname

const read = <T>(path: string): T => JSON.parse(readFileSync(join(root, path), "utf8")) as T // the caller states the shape

type Versions = Readonly<Record<string, string>>

const manifest = read<{
  readonly dependencies: Versions
  readonly devDependencies: Versions
  readonly optionalDependencies: Versions
}>("package.json")

const { packages } = read<{
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly version?: string
        readonly dev?: boolean
        readonly optional?: boolean
        readonly integrity?: string
        readonly resolved?: string
        readonly hasInstallScript?: boolean
      }
    >
  >
}>("package-lock.json")

const locked = Object.entries(packages).filter(([path]) => path !== "")

const nameOf = (path: string) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length)

describe("dependencies", () => {
  it("are pinned to one version each, and the lock has that very version", () => {
    const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies }
    for (const [name, version] of Object.entries(all)) {
      assert.match(version, /^\d+\.\d+\.\d+(?:-[0-9a-z.-]+)?$/, name)
      assert.strictEqual(packages[`node_modules/${name}`]?.version, version, name)
    }
  })

  it("come from the registry, each with a digest", () => {
    for (const [path, { integrity, resolved }] of locked) {
      assert.match(integrity ?? "", /^sha512-/, path)
      assert.match(resolved ?? "https://registry.npmjs.org/", /^https:\/\/registry\.npmjs\.org\//, path)
    }
  })

  it("of production are few, and none of them runs a script when it is installed", () => {
    const production = locked.filter(([, { dev, optional }]) => dev !== true && optional !== true)
    assert.isAtMost(Object.keys(manifest.dependencies).length, 12)
    assert.isAtMost(production.length, 60)
    assert.deepEqual(
      production.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path),
      []
    )
  })

  it("of production all stand in the bill of materials, with version and package URL", () => {
    const text = execFileSync("npm", ["run", "--silent", "sbom"], { cwd: root, encoding: "utf8" })
    const { bomFormat, components } = JSON.parse(text) as {
      readonly bomFormat: string
      readonly components: ReadonlyArray<{
        readonly name: string
        readonly version: string
        readonly purl: string
      }>
    }
    assert.strictEqual(bomFormat, "CycloneDX")
    const listed = new Set(components.map(({ name, version }) => `${name}@${version}`))
    const production = locked.filter(([, { dev, optional }]) => dev !== true && optional !== true)
    for (const [path, { version }] of production)
      assert.isTrue(listed.has(`${nameOf(path)}@${version}`), path)
    for (const { name, purl, version } of components) assert.include(purl, `@${version}`, name)
    const development = locked.filter(([, { dev }]) => dev === true)
    for (const [path, { version }] of development) {
      const isShared = production.some(
        ([other, each]) => nameOf(other) === nameOf(path) && each.version === version
      )
      assert.strictEqual(listed.has(`${nameOf(path)}@${version}`), isShared, path)
    }
  })
})

describe("the audit of dependencies", () => {
  /** Runs it with an `npm` that answers this. */
  const auditWith = (
    answer: string,
    status: number
  ): { readonly status: number; readonly output: string } => {
    const folder = mkdtempSync(join(tmpdir(), "audit-"))
    try {
      writeFileSync(join(folder, "answer"), answer)
      writeFileSync(join(folder, "npm"), `#!/bin/sh\ncat ${folder}/answer\nexit ${status}\n`, { mode: 0o755 })
      const env = { PATH: `${folder}:/usr/bin:/bin` }
      const output = execFileSync(process.execPath, ["scripts/audit.ts"], {
        cwd: root,
        env,
        encoding: "utf8"
      })
      return { status: 0, output }
    } catch (error) {
      const { status: code, stdout } = error as { readonly status: number; readonly stdout: string } // of execFileSync
      return { status: code, output: stdout }
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
  const advisory = (severity: string) =>
    JSON.stringify({ vulnerabilities: { thing: { severity, range: "<2", via: [] } } })

  it("fails for advisories that are high or critical, and names the package", () => {
    for (const severity of ["high", "critical"]) {
      const { output, status } = auditWith(advisory(severity), 1)
      assert.strictEqual(status, 1)
      assert.include(output, `${severity}: thing <2`)
    }
  })

  it("passes for others and for none", () => {
    for (const answer of [advisory("moderate"), '{"vulnerabilities":{}}']) {
      const { output, status } = auditWith(answer, 1)
      assert.strictEqual(status, 0)
      assert.include(output, "0 of them high")
    }
  })

  it("says that it was skipped when the registry has no advisories or cannot be reached", () => {
    for (const answer of ['{"message":"405 Method Not Allowed"}', "", "npm error"]) {
      const { output, status } = auditWith(answer, 1)
      assert.strictEqual(status, 0)
      assert.include(output, "skipped")
    }
  })
})
