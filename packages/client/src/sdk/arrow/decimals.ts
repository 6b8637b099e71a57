import { SqlError } from '../../protocol/errors.ts'
import { elements, type LeafValues } from './buffers.ts'
import { plainDecimal } from './converters.ts'

interface DecimalType {
  readonly bits: number
  readonly scale: number
}

/** The unscaled integers of a decimal column, little-endian two's complement of 32 to 256 bits. */
function unscaledReader(bits: number, buffer: Uint8Array, length: number): (row: number) => bigint {
  if (bits === 32) {
    const values = elements(Int32Array, buffer, length)
    return (row) => BigInt(values[row] as number)
  }
  if (bits !== 64 && bits !== 128 && bits !== 256) {
    throw new SqlError('protocol_violation', `arrow decimal of ${bits} bits`)
  }
  const words = bits / 64
  const low = elements(BigUint64Array, buffer, length * words)
  const signed = elements(BigInt64Array, buffer, length * words)
  return (row) => {
    const last = row * words + words - 1
    let value = signed[last] as bigint
    for (let i = last - 1; i >= row * words; i--) value = (value << 64n) | (low[i] as bigint)
    return value
  }
}

export function wideIntegerReader(
  type: DecimalType,
  buffer: Uint8Array,
  length: number,
  convert: (value: bigint) => unknown,
): (row: number) => unknown {
  const unscaled = unscaledReader(type.bits, buffer, length)
  return (row) => convert(unscaled(row))
}

/** A scale beyond this has a power of ten that a number does not hold exactly beside the digits. */
const SMALL_SCALE_MAX = 15

/** Decimals as exact text. Most are small: those of up to 52 bits are made from numbers, without a bigint. */
export function decimalReader(
  type: DecimalType,
  buffer: Uint8Array,
  length: number,
  convert: (text: string) => unknown,
): LeafValues {
  const { bits, scale } = type
  const unscaled = unscaledReader(bits, buffer, length)
  const exact = (row: number): string => placePoint(String(unscaled(row)), scale)
  if (bits !== 128 || scale < 0 || scale > SMALL_SCALE_MAX) return (row) => convert(exact(row))
  const words = elements(Int32Array, buffer, length * 4)
  const texts = new Array<unknown>(length)
  const power = 10 ** scale
  for (let row = 0; row < length; row++) {
    const at = row * 4
    const second = words[at + 1] as number
    const sign = second >> 20
    // Both upper words only extend the sign, and the second holds at most 20 bits of its own.
    const small = (sign === 0 || sign === -1) && words[at + 2] === sign && words[at + 3] === sign
    texts[row] = small
      ? smallText(second * 4_294_967_296 + ((words[at] as number) >>> 0), power)
      : exact(row)
  }
  return convert === plainDecimal ? texts : (row) => convert(texts[row] as string)
}

/** The text of an integer below 2^52 with its decimal point where `power`, a power of ten, puts it. */
function smallText(value: number, power: number): string {
  if (power === 1) return String(value)
  const size = Math.abs(value)
  const fraction = size % power
  const whole = `${(size - fraction) / power}.${String(power + fraction).slice(1)}`
  return value < 0 ? `-${whole}` : whole
}

/** The text of an integer with its decimal point `scale` digits from the right. */
export function placePoint(digits: string, scale: number): string {
  if (scale <= 0) return scale === 0 || digits === '0' ? digits : digits + '0'.repeat(-scale)
  const sign = digits.startsWith('-') ? '-' : ''
  const size = sign === '' ? digits : digits.slice(1)
  const padded = size.length > scale ? size : size.padStart(scale + 1, '0')
  const point = padded.length - scale
  return `${sign}${padded.slice(0, point)}.${padded.slice(point)}`
}
