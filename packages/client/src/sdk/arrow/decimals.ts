import { SqlError } from '../../protocol/errors.ts'
import { elements } from './buffers.ts'

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

/** Decimals as exact text. Most are small: those of up to 52 bits are made from numbers, without a bigint. */
export function decimalReader(
  type: DecimalType,
  buffer: Uint8Array,
  length: number,
  convert: (text: string) => unknown,
): (row: number) => unknown {
  const { bits, scale } = type
  const unscaled = unscaledReader(bits, buffer, length)
  if (bits !== 128) return (row) => convert(placePoint(String(unscaled(row)), scale))
  const words = elements(Int32Array, buffer, length * 4)
  return (row) => {
    const at = row * 4
    const second = words[at + 1] as number
    const sign = words[at + 3] as number
    // Both upper words only extend the sign, and the second holds at most 20 bits of its own.
    const small = (words[at + 2] as number) === sign && sign === second >> 20
    if (!small || (sign !== 0 && sign !== -1))
      return convert(placePoint(String(unscaled(row)), scale))
    const value = second * 4_294_967_296 + ((words[at] as number) >>> 0)
    return convert(placePoint(String(value), scale))
  }
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
