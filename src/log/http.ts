import { gzip } from "node:zlib"
import { promisify } from "node:util"
import { Effect, Option } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { parseUuid } from "../aitp/ids.ts"
import { Api } from "../api.ts"
import { type Tile, TILE_WIDTH, widthIn } from "../client/log-tiles.ts"
import { negotiate } from "../http/Compression.ts"
import { CurrentRequest } from "../http/CurrentRequest.ts"
import * as Document from "../http/Document.ts"
import * as Query from "../http/Query.ts"
import * as Reply from "../http/Reply.ts"
import { BadRequest, NotFound, Unavailable } from "../wire/errors.ts"
import { consistencyQuery, verifyQuery } from "./api.ts"
import { Checkpoints, type ServedCheckpoint } from "./Checkpoints.ts"
import { LedgerAudit } from "./LedgerAudit.ts"
import { LogEntries } from "./LogEntries.ts"
import { LogKey } from "./LogKey.ts"
import { LogTiles } from "./LogTiles.ts"
import { hashesAt } from "./merkle.ts"
import { Prover } from "./Prover.ts"
import { base64, entryBundle, type EventProof, proofJson, proofText, verdictJson } from "./render.ts"
import { parsePlace, parseTile } from "./tile.ts"

/** Events that one request may have verified. */
const MAX_VERIFIED = 10_000

/** Checkpoints change, if events come, several times a second. */
const FRESH = "public, max-age=1"
const FOR_AN_HOUR = "public, max-age=3600"
/** Neither a tile nor an entry is ever another one. */
const FOR_EVER = "max-age=31536000, immutable"

const TEXT = "text/plain; charset=utf-8"
const gzipped = promisify(gzip)

const notYet = () => new Unavailable({ error: "the log has no checkpoint yet" })
const noTile = () => new NotFound({ error: "the log has no such tile" })

/** A position or a size in a query; `fallback` when it is absent. */
const whole = (name: string, value: string | undefined, fallback: number) => {
  const number = value === undefined ? fallback : /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN
  return Number.isSafeInteger(number)
    ? Effect.succeed(number)
    : Effect.fail(new BadRequest({ error: `${name} must be a whole number` }))
}

const octets = (bytes: Uint8Array, cacheControl: string, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.uint8Array(bytes, {
    contentType: "application/octet-stream",
    headers: { "cache-control": cacheControl, ...headers }
  })

const wantsJson = ({ headers }: HttpServerRequest.HttpServerRequest): boolean =>
  headers["accept"]?.includes("application/json") === true

export const LogHttp = HttpApiBuilder.group(
  Api,
  "log",
  Effect.fn(function* (handlers) {
    const audit = yield* LedgerAudit
    const checkpoints = yield* Checkpoints
    const entries = yield* LogEntries
    const key = yield* LogKey
    const prover = yield* Prover
    const tiles = yield* LogTiles

    // Waits, for a moment after the very first start, for the checkpoint of the empty log.
    const served = Effect.flatMap(checkpoints.awaited(0), (current) =>
      Effect.mapError(Effect.fromOption(current), notYet)
    )
    let shown: { readonly of: ServedCheckpoint; readonly document: Document.Document } | undefined

    /** Fails unless the served tree has all hashes of the tile. */
    const insist = Effect.fnUntraced(function* (tile: Tile | undefined) {
      if (tile === undefined) return yield* noTile()
      const { index, level, width } = tile
      const size = (index * TILE_WIDTH + width) * TILE_WIDTH ** level
      const found = yield* checkpoints.atLeast(size)
      return Option.isSome(found) && widthIn(found.value.size, level, index) >= width ? tile : yield* noTile()
    })

    return handlers
      .handleRaw(
        "checkpoint",
        Effect.fnUntraced(function* ({ request }) {
          const checkpoint = yield* served
          if (shown?.of !== checkpoint) {
            const document = Document.make(checkpoint.note, { contentType: TEXT, cacheControl: FRESH })
            shown = { of: checkpoint, document }
          }
          return Document.respond(shown.document, request)
        })
      )
      .handleRaw(
        "key",
        Effect.fnUntraced(function* ({ request }) {
          const { vkey } = yield* key.identityIn((yield* served).lineage)
          return Document.respond(
            Document.make(`${vkey}\n`, { contentType: TEXT, cacheControl: FOR_AN_HOUR }),
            request
          )
        })
      )
      .handleRaw(
        "tile",
        Effect.fnUntraced(function* ({ params }) {
          const tile = yield* insist(parseTile(params.level, params["*"]))
          const hashes = (yield* tiles.read([tile]))(tile.level, tile.index)
          if (hashes === undefined)
            return yield* Effect.die(new Error("a tile of the served tree is missing"))
          return octets(hashesAt(hashes, 0, tile.width), `public, ${FOR_EVER}`)
        })
      )
      .handleRaw(
        "entries",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          // A bundle holds events of whomever.
          if (principal.visibility._tag !== "all") return yield* noTile()
          const place = parsePlace(params["*"])
          const { index, width } = yield* insist(place === undefined ? undefined : { level: 0, ...place })
          const after = index * TILE_WIDTH
          const rows = yield* entries.span({ after, upTo: after + width, limit: width })
          const bundle = entryBundle(rows, width)
          if (bundle === undefined) return yield* new NotFound({ error: "not all entries are kept" })
          const headers = { vary: "Accept-Encoding" }
          return negotiate(request.headers["accept-encoding"]) === undefined
            ? octets(bundle, `private, ${FOR_EVER}`, headers)
            : octets(yield* Effect.promise(() => gzipped(bundle)), `private, ${FOR_EVER}`, {
                ...headers,
                "content-encoding": "gzip"
              })
        })
      )
      .handleRaw(
        "consistency",
        Effect.fnUntraced(function* () {
          const checkpoint = yield* served
          const query = yield* Query.read(consistencyQuery)
          const to = yield* whole("to", query.to, checkpoint.size)
          const from = yield* whole("from", query.from, 0)
          if (from > to) return yield* new BadRequest({ error: "from must not exceed to" })
          const enough = yield* checkpoints.atLeast(to)
          if (Option.isNone(enough)) return yield* new BadRequest({ error: "the log is not that large" })
          const { epoch } = enough.value.lineage
          const hashes = yield* prover.consistency(epoch, from, to)
          return Reply.text(
            JSON.stringify({
              from,
              to,
              fromRootHash: base64(yield* prover.root(epoch, from)),
              toRootHash: base64(yield* prover.root(epoch, to)),
              hashes: hashes.map(base64),
              checkpoint: enough.value.note
            })
          )
        })
      )
      .handleRaw(
        "proof",
        Effect.fnUntraced(function* ({ params, request }) {
          const { principal } = yield* CurrentRequest
          const id = parseUuid(params.id)
          const found = id === undefined ? Option.none() : yield* entries.findById(id, principal.visibility)
          if (Option.isNone(found)) return yield* new NotFound({ error: "no such event" })
          const row = found.value
          const checkpoint = yield* Effect.mapError(
            Effect.fromOption(yield* checkpoints.awaited(row.seq)),
            () => new Unavailable({ error: "the event is not in the log yet" })
          )
          const proof: EventProof = {
            row,
            checkpoint,
            ...(yield* prover.inclusion(checkpoint.lineage.epoch, row.seq - 1, checkpoint.size, row.tile))
          }
          const headers = { vary: "Accept" }
          return wantsJson(request)
            ? Reply.text(proofJson(proof), { headers })
            : HttpServerResponse.text(proofText(proof), { contentType: TEXT, headers })
        })
      )
      .handleRaw(
        "verify",
        Effect.fnUntraced(function* () {
          const checkpoint = yield* served
          const query = yield* Query.read(verifyQuery)
          const from = Math.max(yield* whole("from", query.from, 1), 1)
          const to = query.to === undefined ? undefined : yield* whole("to", query.to, 0)
          if (to !== undefined && from > to)
            return yield* new BadRequest({ error: "from must not exceed to" })
          const verified = yield* audit.verify(checkpoint, { after: from - 1, upTo: to, limit: MAX_VERIFIED })
          const isOwn = yield* audit.isOwn(checkpoint)
          return Reply.text(verdictJson({ ...verified, from, isOwn, checkpoint }))
        })
      )
  })
)
