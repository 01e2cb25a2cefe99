import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config"

const root = new URL("..", import.meta.url).pathname
const postgres = "test/support/db/globalSetup.ts"

/** Suites of one folder below `test/`; run one kind with `--project <name>`. */
const suites = (
  name: string,
  order: number,
  options: NonNullable<TestProjectInlineConfiguration["test"]>
): TestProjectInlineConfiguration => ({
  test: {
    name,
    root,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    sequence: { groupOrder: order },
    ...options
  }
})

export default defineConfig({
  test: {
    root,
    passWithNoTests: true,
    projects: [
      // Pure code: files share a thread and its modules, whose loading would take longer than the tests.
      suites("unit", 1, { pool: "threads", isolate: false, testTimeout: 10_000 }),
      suites("integration", 2, { pool: "forks", isolate: false, maxWorkers: 2, globalSetup: postgres }),
      // Each file starts services of its own, which need the processor more than the runner does.
      suites("contract", 3, { pool: "forks", maxWorkers: 2, globalSetup: postgres }),
      suites("faults", 4, {
        pool: "forks",
        maxWorkers: 1,
        fileParallelism: false,
        testTimeout: 120_000,
        globalSetup: postgres
      })
    ]
  }
})
