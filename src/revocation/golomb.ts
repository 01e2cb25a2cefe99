// Golomb-Rice coding of a sorted set, most significant bit first (as in BIP 158). docs/revocation-feeds.md is the format.

/** Bits of a difference that are written as they are; the rest is written in unary. */
export const RICE_PARAMETER = 20

/** Appends bits to a buffer that is large enough and was zero. */
class BitWriter {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(capacityBits: number) {
    this.#bytes = new Uint8Array(Math.ceil(capacityBits / 8))
  }

  unary(ones: number): void {
    for (let bit = 0; bit < ones; bit += 1) this.#set()
    this.#at += 1
  }

  binary(value: number, width: number): void {
    for (let bit = width - 1; bit >= 0; bit -= 1) {
      if ((value >>> bit) & 1) this.#set()
      else this.#at += 1
    }
  }

  /** What was written, filled up to a whole byte with zeros. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, Math.ceil(this.#at / 8))
  }

  #set(): void {
    this.#bytes[this.#at >> 3]! |= 0x80 >> (this.#at & 7) // within the capacity
    this.#at += 1
  }
}

/** The differences of ascending values, the first one to 0, each below `values.length` · 2^20; equal values are kept. */
export const encodeSet = (values: Float64Array): Uint8Array => {
  // The unary parts hold at most one bit per value on top of its end bit: all quotients together are below their number.
  const writer = new BitWriter(values.length * (RICE_PARAMETER + 2))
  let last = 0
  for (const value of values) {
    const difference = value - last
    writer.unary(Math.floor(difference / 2 ** RICE_PARAMETER))
    writer.binary(difference % 2 ** RICE_PARAMETER, RICE_PARAMETER)
    last = value
  }
  return writer.written
}
