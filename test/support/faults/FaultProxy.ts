import { connect, createServer, type Server, type Socket } from "node:net"
import { setTimeout } from "node:timers/promises"
import { Effect, type Scope } from "effect"

/**
 * How a link behaves:
 * - `pass`: as a cable does.
 * - `slow`: each piece arrives late, in order.
 * - `stall`: nothing arrives until the link is well again, then all of it: a partition that heals.
 * - `halfOpen`: connections that exist, or are made meanwhile, are dead and nobody is told; they are reset when the link is
 *   well again, as by the first packet that meets a peer without memory of them.
 * - `cut`: connections are reset, and new ones too.
 */
export type LinkState = "pass" | "slow" | "stall" | "halfOpen" | "cut"

interface Link {
  readonly near: Socket
  readonly far: Socket
  dead: boolean
}

/** Passes TCP connections on, as badly as it is told. */
export class FaultProxy {
  readonly #links = new Set<Link>()
  readonly #server: Server
  #state: LinkState = "pass"
  #healed = Promise.resolve()
  #heal = () => {}
  #delayMs = 0

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#server = createServer((near) => {
      if (this.#state === "cut") {
        near.on("error", () => {}).resetAndDestroy()
        return
      }
      const link = { near, far: connect(target.port, target.host), dead: this.#state === "halfOpen" }
      this.#links.add(link)
      this.#carry(link, near, link.far)
      this.#carry(link, link.far, near)
    })
  }

  /** When what arrives next may go on. */
  #passage(): Promise<void> {
    if (this.#state === "stall") return this.#healed
    return this.#delayMs === 0 ? Promise.resolve() : setTimeout(this.#delayMs)
  }

  #carry(link: Link, from: Socket, to: Socket): void {
    let last = Promise.resolve()
    const next = (act: () => void) => {
      last = last.then(() => this.#passage()).then(() => (link.dead ? undefined : act()))
    }
    from.setNoDelay(true)
    from.on("data", (chunk) => next(() => void to.write(chunk)))
    from.on("close", () =>
      next(() => {
        to.destroy()
        this.#links.delete(link)
      })
    )
    from.on("error", () => {})
  }

  #resetWhere(wanted: (link: Link) => boolean): void {
    for (const link of this.#links) {
      if (!wanted(link)) continue
      this.#links.delete(link)
      link.near.resetAndDestroy()
      link.far.resetAndDestroy()
    }
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }

  /** From now on. `delayMs` is what each piece takes in each direction, for `slow`. */
  become(state: LinkState, delayMs = 0): void {
    this.#state = state
    this.#delayMs = state === "slow" ? delayMs : 0
    this.#heal()
    if (state === "stall") this.#healed = new Promise((resolve) => (this.#heal = resolve))
    if (state === "cut") this.#resetWhere(() => true)
    if (state === "halfOpen") for (const link of this.#links) link.dead = true
    else this.#resetWhere(({ dead }) => dead)
  }

  /** Resets all connections there are; new ones pass. */
  reset(): void {
    this.#resetWhere(() => true)
  }

  /** In front of this server; gone with the scope. */
  static readonly make = (target: {
    readonly host: string
    readonly port: number
  }): Effect.Effect<FaultProxy, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.callback<FaultProxy>((resume) => {
        const proxy = new FaultProxy(target)
        proxy.#server.listen(0, "127.0.0.1", () => resume(Effect.succeed(proxy)))
      }),
      (proxy) =>
        Effect.sync(() => {
          proxy.#resetWhere(() => true)
          proxy.#server.close()
        })
    )
}
