import { execFile } from "node:child_process"

/**
 * Fails when an advisory of severity high or above is known for a production dependency. A registry without advisories,
 * such as a mirror, cannot tell: then it says so and passes, since what must not be reached must not break a build.
 */

const SEVERITIES = new Set(["high", "critical"])

interface Audit {
  readonly vulnerabilities?: Readonly<
    Record<
      string,
      { readonly severity: string; readonly range: string; readonly via: ReadonlyArray<unknown> }
    >
  >
  readonly message?: string
}

const audit = (): Promise<Audit | undefined> =>
  new Promise((resolve) => {
    const parameters = ["audit", "--omit=dev", "--json"]
    // exits 1 both for advisories and for failures; what it writes tells them apart
    execFile("npm", parameters, { timeout: 120_000, maxBuffer: 64 * 1_048_576 }, (_error, stdout) => {
      try {
        resolve(JSON.parse(stdout) as Audit)
      } catch {
        resolve(undefined)
      }
    })
  })

const say = (line: string) => process.stdout.write(`${line}\n`)

const found = await audit()
if (found?.vulnerabilities === undefined) {
  say(`audit skipped: the registry gives no advisories (${found?.message ?? "no answer of npm audit"})`)
} else {
  const grave = Object.entries(found.vulnerabilities).filter(([, { severity }]) => SEVERITIES.has(severity))
  for (const [name, { range, severity }] of grave) say(`${severity}: ${name} ${range}`)
  say(
    `audit: ${Object.keys(found.vulnerabilities).length} advisories, ${grave.length} of them high or critical`
  )
  if (grave.length > 0) process.exitCode = 1
}
