import { Context, Layer } from "effect"

/** Requests that were refused for want of a valid credential, since they were last taken. */
export interface Refused {
  readonly count: number
  /** Requests by the client's address, of the first 1,000 addresses. */
  readonly byAddress: ReadonlyMap<string, number>
}

/** Addresses that are told apart; a flood from many must not fill the memory. */
const MAX_ADDRESSES = 1000

/** Counts refused credentials until somebody records them: one line a refusal would let anybody fill the audit. */
export class RefusedCredentials extends Context.Service<
  RefusedCredentials,
  {
    readonly note: (address: string) => void
    /** What has been counted; the count begins anew. */
    readonly take: () => Refused
    /** Counts again what could not be recorded. */
    readonly putBack: (refused: Refused) => void
  }
>()("cp/http/RefusedCredentials") {
  static readonly layer = Layer.sync(RefusedCredentials, () => {
    let count = 0
    let byAddress = new Map<string, number>()
    const add = (address: string, times: number) => {
      const known = byAddress.get(address)
      if (known !== undefined || byAddress.size < MAX_ADDRESSES) byAddress.set(address, (known ?? 0) + times)
    }
    return {
      note: (address) => {
        count += 1
        add(address, 1)
      },
      take: () => {
        const taken = { count, byAddress }
        count = 0
        byAddress = new Map()
        return taken
      },
      putBack: (refused) => {
        count += refused.count
        for (const [address, times] of refused.byAddress) add(address, times)
      }
    }
  })
}
