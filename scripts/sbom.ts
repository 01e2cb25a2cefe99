import { execFileSync } from "node:child_process"

/**
 * Prints the bill of materials of what runs in production, CycloneDX 1.5, from package-lock.json alone. By npm, but for
 * what is left out: `npm sbom --omit dev` also leaves out what development and production share, such as `effect`.
 */

interface Component {
  readonly "bom-ref": string
  readonly properties?: ReadonlyArray<{ readonly name: string; readonly value: string }>
}

interface Bill {
  readonly components: ReadonlyArray<Component>
  readonly dependencies: ReadonlyArray<{ readonly ref: string; readonly dependsOn: ReadonlyArray<string> }>
}

const isDevelopment = ({ properties }: Component): boolean =>
  properties?.some(({ name, value }) => name === "cdx:npm:package:development" && value === "true") === true

const parameters = ["sbom", "--sbom-format", "cyclonedx", "--package-lock-only"]
const text = execFileSync("npm", parameters, { encoding: "utf8", maxBuffer: 64 * 1_048_576 })
const bill = JSON.parse(text) as Bill // the format was asked for

const left = new Set(bill.components.filter(isDevelopment).map((component) => component["bom-ref"]))
const production = {
  ...bill,
  components: bill.components.filter((component) => !left.has(component["bom-ref"])),
  dependencies: bill.dependencies
    .filter(({ ref }) => !left.has(ref))
    .map(({ dependsOn, ref }) => ({ ref, dependsOn: dependsOn.filter((each) => !left.has(each)) }))
}
process.stdout.write(`${JSON.stringify(production, null, 2)}\n`)
