/**
 * CRC-32 (ISO 3309, as in zlib) in plain JavaScript, eight bytes a step, for browsers. Node has its own in `node:zlib`
 * (`crc32-node.ts`), several times faster; both chain alike: `crc32(b, crc32(a)) === crc32(a ++ b)`.
 */
export type Crc32 = (bytes: Uint8Array, previous?: number) => number

const POLYNOMIAL = 0xedb88320
const SLICES = 8

/** Table k at [k * 256 + b] is the crc of the byte b followed by k zero bytes. */
const TABLE = makeTable()

function makeTable(): Uint32Array {
  const table = new Uint32Array(SLICES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    table[byte] = crc >>> 0
  }
  for (let i = 256; i < table.length; i++) {
    const shorter = table[i - 256] as number
    table[i] = (shorter >>> 8) ^ (table[shorter & 0xff] as number)
  }
  return table
}

const at = (slice: number, byte: number): number => TABLE[slice * 256 + byte] as number

export const crc32: Crc32 = (bytes, previous = 0) => {
  let crc = ~previous
  let i = 0
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const end = bytes.byteLength - 7; i < end; i += 8) {
    const low = view.getUint32(i, true) ^ crc
    const high = view.getUint32(i + 4, true)
    crc =
      at(7, low & 0xff) ^
      at(6, (low >>> 8) & 0xff) ^
      at(5, (low >>> 16) & 0xff) ^
      at(4, low >>> 24) ^
      at(3, high & 0xff) ^
      at(2, (high >>> 8) & 0xff) ^
      at(1, (high >>> 16) & 0xff) ^
      at(0, high >>> 24)
  }
  for (; i < bytes.byteLength; i++) crc = (crc >>> 8) ^ at(0, (crc ^ view.getUint8(i)) & 0xff)
  return ~crc >>> 0
}

/** The crc of a whole stream: chained over the crc of each frame in order, each as four little-endian bytes. */
export function chainCrc(crc32: Crc32, chain: number, frameCrc: number): number {
  const word = new Uint8Array(4)
  new DataView(word.buffer).setUint32(0, frameCrc, true)
  return crc32(word, chain)
}
