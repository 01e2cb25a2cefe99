import { Context, Layer } from "effect"

/** Why traffic should not come here now; the first that holds is told. */
const REASONS = ["starting", "database_unavailable", "migrations_pending", "manifest_expired"] as const

export type NotReady = (typeof REASONS)[number]

/**
 * Conditions a running process can enter and leave; whoever knows of one raises and clears it. Being told to stop is
 * none of them: `Drain` knows that.
 */
export class Readiness extends Context.Service<
  Readiness,
  {
    readonly raise: (reason: NotReady) => void
    readonly clear: (reason: NotReady) => void
    /** The reason in force; undefined while ready. */
    readonly reason: () => NotReady | undefined
  }
>()("cp/ops/Readiness") {
  /** A process begins as `starting`. */
  static readonly layer = Layer.sync(Readiness, () => {
    const raised = new Set<NotReady>(["starting"])
    return Readiness.of({
      raise: (reason) => void raised.add(reason),
      clear: (reason) => void raised.delete(reason),
      reason: () => REASONS.find((reason) => raised.has(reason))
    })
  })
}
