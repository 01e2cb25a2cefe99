// Golomb-Rice coding of differences, most significant bit first, as in BIP 158.

/** Bits of a difference that are written as they are; the rest is written in unary. */
export const RICE_PARAMETER = 20

class BitReader {
  readonly #coded: Uint8Array
  #at = 0

  constructor(coded: Uint8Array) {
    this.#coded = coded
  }

  /** Bits not read yet; negative when more was read than there is. */
  get left(): number {
    return this.#coded.length * 8 - this.#at
  }

  /** The next bit; zeros behind the end. */
  next(): number {
    const bit = ((this.#coded[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1
    this.#at += 1
    return bit
  }

  /** How many ones come before the next zero, which is read too. */
  unary(): number {
    let ones = 0
    while (this.next() === 1) ones += 1
    return ones
  }

  binary(width: number): number {
    let value = 0
    for (let bit = 0; bit < width; bit += 1) value = value * 2 + this.next()
    return value
  }
}

/**
 * The ascending values of a coded set; `undefined` unless the bytes hold exactly `count` values below `range`, and then
 * nothing but fewer than eight zero bits.
 */
export const decodeSet = (coded: Uint8Array, count: number, range: number): Float64Array | undefined => {
  // The shortest value has a unary part of one bit. Checked first, so that no memory is taken for a wrong count.
  if (count * (RICE_PARAMETER + 1) > coded.length * 8) return undefined
  const reader = new BitReader(coded)
  const values = new Float64Array(count)
  let last = 0
  for (let index = 0; index < count; index += 1) {
    last += reader.unary() * 2 ** RICE_PARAMETER + reader.binary(RICE_PARAMETER)
    if (reader.left < 0 || last >= range) return undefined
    values[index] = last
  }
  return reader.left < 8 && reader.binary(Math.max(reader.left, 0)) === 0 ? values : undefined
}
