/**
 * Bounds of columns in Iceberg's single-value serialization (appendix D of its specification), from and to the form that
 * footers are read into: numbers stand for days, microseconds and units of the last decimal place; what a number cannot
 * hold exactly are its digits. Pure.
 */
export type Bound = number | string

/** Undefined where bounds of the type are not kept: of floating-point numbers, UUIDs, bytes and nested values. */
export function encodeBound(type: string, bound: Bound): Buffer | undefined {
  switch (type) {
    case 'boolean':
      return Buffer.from([Number(bound) === 0 ? 0 : 1])
    case 'int':
    case 'date': {
      const bytes = Buffer.alloc(4)
      bytes.writeInt32LE(Number(bound))
      return bytes
    }
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz': {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64LE(BigInt(bound))
      return bytes
    }
    case 'string':
      return Buffer.from(String(bound), 'utf8')
    default:
      return type.startsWith('decimal(') ? twosComplement(BigInt(bound)) : undefined
  }
}

/** Undefined where the type has no bounds here, or the bytes are none of it. */
export function decodeBound(type: string, bytes: Uint8Array): Bound | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (type) {
    case 'boolean':
      return buffer.length === 1 ? (buffer[0] === 0 ? 0 : 1) : undefined
    case 'int':
    case 'date':
      return buffer.length === 4 ? buffer.readInt32LE() : undefined
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      // An int that was widened to a long keeps the bounds that it had.
      if (buffer.length === 4 && type === 'long') return buffer.readInt32LE()
      return buffer.length === 8 ? exact(buffer.readBigInt64LE()) : undefined
    case 'string':
      return decodeText(buffer)
    default:
      if (!type.startsWith('decimal(') || buffer.length === 0) return undefined
      return exact(BigInt.asIntN(8 * buffer.length, BigInt(`0x${buffer.toString('hex')}`)))
  }
}

/** Text that may have been cut within a character is no bound any more: its bytes are not the ones it was. */
function decodeText(buffer: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(buffer)
  } catch {
    return undefined
  }
}

const exact = (value: bigint): Bound =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : String(value)

/** The fewest bytes, the highest first. */
export function twosComplement(value: bigint): Buffer {
  let bytes = 1
  while (BigInt.asIntN(8 * bytes, value) !== value) bytes++
  const hex = BigInt.asUintN(8 * bytes, value).toString(16)
  return Buffer.from(hex.padStart(2 * bytes, '0'), 'hex')
}
