import { Effect } from "effect"
import { type Visibility, visibleToAll } from "../../../src/access/Visibility.ts"
import { Delegations } from "../../../src/delegations/Delegations.ts"
import type { DelegationQuery } from "../../../src/delegations/model.ts"
import type { SessionQuery } from "../../../src/sessions/model.ts"
import { Sessions } from "../../../src/sessions/Sessions.ts"
import type { TctQuery } from "../../../src/tcts/model.ts"
import { Tcts } from "../../../src/tcts/Tcts.ts"

/** Pages of the projections: the first hundred of everything, but for what is asked otherwise. */

const page = { limit: 100, offset: 0, after: undefined } as const

export const listSessions = (query: Partial<SessionQuery> = {}, visibility: Visibility = visibleToAll) =>
  Effect.flatMap(Sessions, (sessions) =>
    sessions.list({ status: undefined, runId: undefined, aid: undefined, ...page, ...query }, visibility)
  )

export const listTcts = (query: Partial<TctQuery> = {}, visibility: Visibility = visibleToAll) =>
  Effect.flatMap(Tcts, (tcts) =>
    tcts.list(
      {
        issuer: undefined,
        subject: undefined,
        audience: undefined,
        capability: undefined,
        sessionId: undefined,
        jti: undefined,
        active: false,
        ...page,
        ...query
      },
      visibility
    )
  )

export const listDelegations = (
  query: Partial<DelegationQuery> = {},
  visibility: Visibility = visibleToAll
) =>
  Effect.flatMap(Delegations, (delegations) =>
    delegations.list(
      { parentJti: undefined, delegator: undefined, delegatee: undefined, active: false, ...page, ...query },
      visibility
    )
  )
