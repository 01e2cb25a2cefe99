import { type Array, Effect, Fiber, FiberMap, Result } from "effect"
import type { Dns, DnsError } from "effect/net/Dns"
import { type IpAddress, ipFromString } from "effect/net/NetAddress"
import { RequestFailed } from "./model.ts"

/** All addresses of a host. */
export type Addresses = Array.NonEmptyReadonlyArray<IpAddress>

/** The address that a host is written as; the URL parser has turned every notation of IPv4 into the usual one. */
export const literalOf = (hostname: string): IpAddress | undefined =>
  Result.getOrUndefined(ipFromString(hostname))

const RESOLVE_LIMIT = "3 seconds"

const unresolved = (reason: string) => new RequestFailed({ phase: "resolve", reason })

/**
 * Resolves hosts to all their addresses within three seconds; one that is written as an address is that address. A name
 * that is being looked up is not looked up again: the system resolver cannot be interrupted, and has few threads for
 * slow names to occupy.
 */
export const makeResolve = Effect.fnUntraced(function* (dns: Dns["Service"]) {
  const running = yield* FiberMap.make<string, Addresses, DnsError>()
  const lookUp = (name: string) =>
    FiberMap.run(running, name, dns.lookup(name), { onlyIfMissing: true }).pipe(
      Effect.flatMap(Fiber.join),
      Effect.timeoutOrElse({
        duration: RESOLVE_LIMIT,
        orElse: () => Effect.fail(unresolved("the host did not resolve in time"))
      }),
      Effect.catchTag("DnsError", ({ reason }) =>
        Effect.fail(
          unresolved(reason === "NotFound" ? "the host does not resolve" : "the host could not be resolved")
        )
      )
    )
  return (hostname: string): Effect.Effect<Addresses, RequestFailed> => {
    const literal = literalOf(hostname)
    return literal === undefined ? lookUp(hostname) : Effect.succeed([literal])
  }
})

export type Resolve = Effect.Success<ReturnType<typeof makeResolve>>
