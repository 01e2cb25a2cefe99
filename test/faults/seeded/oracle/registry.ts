import { Effect } from "effect"
import { agentPath, type AgentRow } from "../../../support/service/agents.ts"
import { sendTo } from "../../../support/service/client.ts"
import type { World } from "../World.ts"
import type { Stored } from "./ledger.ts"

const countBy = (ledger: ReadonlyArray<Stored>, wanted: string) => {
  const times = new Map<string, number>()
  for (const { aidA, source, type } of ledger)
    if (source === "cp" && type === wanted && aidA !== null) times.set(aidA, (times.get(aidA) ?? 0) + 1)
  return times
}

/** Every agent is as its client was told; its one token was used at most once, and each change announced once. */
export const judgeRegistry = (world: World, ledger: ReadonlyArray<Stored>): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { journal, replicas } = world
    const registered = countBy(ledger, "agent.registered")
    const removed = countBy(ledger, "agent.deregistered")
    const expired = countBy(ledger, "agent.expired")
    for (const [aid, n] of expired)
      journal.violated("an agent whose manifest is good does not expire", `${aid} ${n} times`)
    for (const { aid, certainty, removal } of journal.agents.values()) {
      const times = registered.get(aid) ?? 0
      if (times > 1) journal.violated("a one-time token is used once", `${aid} was registered ${times} times`)
      if (times === 0 && certainty === "acknowledged")
        journal.violated("what was registered is there", `${aid} is not in the ledger`)
      const gone = removed.get(aid) ?? 0
      if (gone > 1 || (gone === 0 && removal === "acknowledged") || (gone > 0 && removal === "none"))
        journal.violated(
          "an agent is removed once, and when told to",
          `${aid}: ${gone} times, asked ${removal}`
        )
    }
    for (const [index, { aid, certainty }] of [...journal.agents.values()].entries()) {
      if (certainty !== "acknowledged" || expired.has(aid)) continue
      const answer = yield* sendTo(replicas[index % replicas.length]!, agentPath(aid))
      const wanted = removed.has(aid) ? "deregistered" : "active"
      if (answer.status !== 200 || answer.json<AgentRow>().status !== wanted)
        journal.violated(
          "an agent is as its client was told",
          `${aid} is not ${wanted}: ${answer.text.slice(0, 200)}`
        )
    }
  })
