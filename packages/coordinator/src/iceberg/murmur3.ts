/**
 * MurmurHash3, x86, 32 bits, seed 0 (Appleby 2008): what Iceberg's `bucket` divides by. Its result is signed, as in the
 * specification's table of test values. Pure.
 */
const C1 = 0xcc9e2d51
const C2 = 0x1b873593

export function murmur3(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const whole = bytes.length - (bytes.length % 4)
  let hash = 0
  for (let at = 0; at < whole; at += 4) {
    hash = rotate(hash ^ mixed(view.getUint32(at, true)), 13)
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = bytes.length - 1; at >= whole; at--) tail = (tail << 8) | (bytes[at] ?? 0)
  // Without a rest this changes nothing: zero is mixed to zero.
  return finished(hash ^ mixed(tail), bytes.length)
}

const mixed = (block: number): number => Math.imul(rotate(Math.imul(block, C1), 15), C2)

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

function finished(hash: number, length: number): number {
  let h = hash ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
