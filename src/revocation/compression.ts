import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"
import { Effect } from "effect"

const gzipped = promisify(gzip)
const brotlied = promisify(brotliCompress)

/** Ids are random: more effort than this gains nothing. */
const GZIP = { level: 6 }
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }

/** Both codings of bytes that are made seldom and served often; runs off the event loop. */
export const compressed = (bytes: Uint8Array) =>
  Effect.promise(async () => {
    const [gzip, br] = await Promise.all([gzipped(bytes, GZIP), brotlied(bytes, BROTLI)])
    return { gzip, br }
  })
