import { randomBytes, randomUUID } from "node:crypto"
import { styleText } from "node:util"
import { type Aid, formatAid } from "../src/aitp/aid.ts"
import { encodeBase64url } from "../src/aitp/base64url.ts"
import { signManifest } from "../src/aitp/manifest.ts"
import { ed25519Signer, type Signer } from "../src/aitp/signer.ts"

/**
 * Two agents use a running control plane as agents do: they make keys, sign manifests, enrol, register, find each other
 * by capability and report a handshake. Start the service first (`npm start`), then `npm run demo`.
 *
 * CP_URL      where the service is      (http://localhost:4000)
 * CP_API_KEY  one of its API_KEYS; not needed while it has none
 */

const base = (process.env["CP_URL"] ?? "http://localhost:4000").replace(/\/+$/, "")
const apiKey = process.env["CP_API_KEY"]

interface Agent {
  readonly name: string
  readonly aid: Aid
  readonly signer: Signer
  readonly capability: string
}

let steps = 0
const step = (what: string, result: string) => {
  steps += 1
  console.log(`${styleText("bold", `${steps}. ${what}`)}\n   ${result}\n`)
}

const call = async (
  method: "GET" | "POST",
  path: string,
  options: { readonly body?: unknown; readonly authorization?: string | undefined } = {}
): Promise<unknown> => {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: {
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      ...(options.authorization === undefined ? {} : { authorization: `Bearer ${options.authorization}` })
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) })
  })
  const text = await response.text()
  if (!response.ok) {
    const seconds = response.headers.get("retry-after")
    const hint = seconds === null ? "" : `\nTry again in ${seconds} s.`
    throw new Error(`${method} ${path} answered ${response.status}: ${text}${hint}`)
  }
  return JSON.parse(text)
}

/** A member of an answer, by path; fails loudly when the answer has another shape. */
const read = (answer: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((value, key) => {
    if (typeof value !== "object" || value === null || !(key in value)) {
      throw new Error(`the answer has no ${path.join(".")}: ${JSON.stringify(answer)}`)
    }
    return Reflect.get(value, key)
  }, answer)

const makeAgent = (name: string, capability: string): Agent => {
  const signer = ed25519Signer(new Uint8Array(randomBytes(32)))
  return { name, capability, signer, aid: formatAid(signer.alg, signer.raw) }
}

const manifestOf = ({ aid, capability, name, signer }: Agent) => {
  const now = Math.floor(Date.now() / 1000)
  return signManifest(
    {
      display_name: name,
      identity_hint: { type: "pinned_key", subject: name, public_key: encodeBase64url(signer.raw) },
      handshake_endpoint: `https://${name}.example.com/aitp/handshake`,
      accepted_trust_anchors: ["https://idp.example.com"],
      accepted_identity_types: ["pinned_key"],
      offered_capabilities: [capability],
      published_at: now,
      expires_at: now + 3600
    },
    randomBytes(16),
    signer,
    aid
  )
}

const join = async (agent: Agent) => {
  const manifest = manifestOf(agent)
  const enrolled = await call("POST", "/api/registry/enroll", { body: { manifest } })
  const token = String(read(enrolled, "token"))
  step(
    `${agent.name} enrols with its signed manifest`,
    `a one-time token, good for ${String(read(enrolled, "expiresIn"))} s`
  )
  const registered = await call("POST", "/api/registry/agents", { body: { manifest }, authorization: token })
  step(`${agent.name} registers with the token`, `registered at ${String(read(registered, "registeredAt"))}`)
}

const run = async () => {
  const suffix = randomBytes(3).toString("hex")
  const alice = makeAgent(`alice-${suffix}`, `demo.translate.${suffix}`)
  const bob = makeAgent(`bob-${suffix}`, `demo.summarise.${suffix}`)
  step("Two agents make their keys", `${alice.name}  ${alice.aid}\n   ${bob.name}    ${bob.aid}`)
  await join(alice)
  await join(bob)

  const found = await call("GET", `/api/registry/agents?capability=${encodeURIComponent(bob.capability)}`)
  const peer = read(found, "agents", 0, "aid")
  if (peer !== bob.aid) throw new Error(`discovery found ${String(peer)} instead of ${bob.aid}`)
  step(
    `${alice.name} looks for ${bob.capability}`,
    `found ${String(read(found, "agents", 0, "displayName"))}`
  )

  // The handshake itself is between the two agents; the control plane only hears of it.
  const sessionId = randomUUID()
  const started = Date.now()
  const report = (type: string, ts: number, more: object = {}) => ({
    type,
    ts: new Date(ts).toISOString(),
    sessionId,
    aidA: alice.aid,
    aidB: bob.aid,
    source: "demo",
    ...more
  })
  const ingested = await call("POST", "/api/events", {
    authorization: apiKey,
    body: [
      report("handshake.started", started),
      report("handshake.complete", started + 40, { grants: [bob.capability], payload: { boundary: "demo" } })
    ]
  })
  step(
    `${alice.name} reports the handshake it had with ${bob.name}`,
    `${String(read(ingested, "inserted"))} events stored, newest position ${String(read(ingested, "position"))}`
  )

  const history = await call("GET", `/api/events/history?session_id=${sessionId}&order=asc`, {
    authorization: apiKey
  })
  const events = read(history, "events")
  if (!Array.isArray(events) || events.length !== 2) throw new Error("history does not have the two events")
  step(
    "Anyone with an API key reads it back",
    events
      .map(
        (event) =>
          `${String(read(event, "seq"))}  ${String(read(event, "ts"))}  ${String(read(event, "type"))}`
      )
      .join("\n   ")
  )
  console.log(`All of it is documented at ${base}/docs`)
}

try {
  await run()
} catch (error) {
  // only a call that got no answer has a cause
  const reason =
    error instanceof Error && error.cause instanceof Error
      ? `${error.message}: ${error.cause.message}\nIs the service running at ${base}? Start it with: npm start`
      : String(error)
  console.error(`The demo stopped: ${reason}`)
  process.exitCode = 1
}
