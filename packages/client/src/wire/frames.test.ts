import t from 'tap'
import { Prng } from '../base/prng.ts'
import { crc32 } from './crc32-node.ts'
import { chainCrc, crc32 as portableCrc32 } from './crc32.ts'
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  FRAME_HEADER_BYTES,
  setFrameCall,
  setFrameOrigin,
} from './frames.ts'

const FRAME: Frame = {
  kind: 'arrow',
  last: true,
  call: 4_000_000_000,
  sequence: 3_999_999_999,
  crc: 0xfedcba98,
  task: 3_000_000_001,
  attempt: 200,
  payload: Uint8Array.of(1, 2, 3),
}

t.test('a frame decodes to what was encoded', async (t) => {
  for (const kind of ['arrow', 'segment', 'packed'] as const) {
    const frame = { ...FRAME, kind, last: kind === 'arrow' }
    const decoded = decodeFrame(encodeFrame(frame))
    t.strictSame(decoded, frame)
  }
  t.strictSame(decodeFrame(encodeFrame({ ...FRAME, payload: new Uint8Array() })), {
    ...FRAME,
    payload: new Uint8Array(),
  })
})

t.test('a frame is read where it lies in a larger buffer', async (t) => {
  const bytes = encodeFrame(FRAME)
  const larger = new Uint8Array(bytes.byteLength + 7)
  larger.set(bytes, 5)
  t.strictSame(decodeFrame(larger.subarray(5, 5 + bytes.byteLength)), FRAME)
})

t.test('a relay changes the call and nothing else', async (t) => {
  const bytes = encodeFrame(FRAME)
  setFrameCall(bytes, 12)
  t.strictSame(decodeFrame(bytes), { ...FRAME, call: 12 })
})

t.test('the origin of a frame is set and nothing else', async (t) => {
  const bytes = encodeFrame(FRAME)
  setFrameOrigin(bytes, { task: 7, attempt: 1 })
  t.strictSame(decodeFrame(bytes), { ...FRAME, task: 7, attempt: 1 })
  const { task, attempt, ...bare } = FRAME
  t.ok(task > 0 && attempt > 0)
  t.strictSame(decodeFrame(encodeFrame(bare)), { ...FRAME, task: 0, attempt: 0 })
})

t.test('what is not a frame is refused with the reason', async (t) => {
  const changed = (offset: number, value: number): Uint8Array => {
    const bytes = encodeFrame(FRAME)
    bytes[offset] = value
    return bytes
  }
  t.match(decodeFrame(new Uint8Array(FRAME_HEADER_BYTES - 1)), /shorter than its header/)
  t.match(decodeFrame(changed(0, 0x4f)), /frame format 79 is not known/)
  t.match(decodeFrame(changed(1, 4)), /frame kind 4 is not known/)
  t.match(decodeFrame(changed(2, 2)), /frame flags 2 are not known/)
})

t.test('the portable crc is zlib’s, for every length and alignment, chained or not', async (t) => {
  t.equal(portableCrc32(new TextEncoder().encode('123456789')), 0xcbf43926)
  const seed = 20_261_122
  const prng = new Prng(seed)
  for (let round = 0; round < 300; round++) {
    const bytes = Uint8Array.from({ length: prng.below(200) }, () => prng.below(256))
    const part = bytes.subarray(prng.below(8))
    const previous = prng.below(2 ** 32)
    if (portableCrc32(part, previous) === crc32(part, previous)) continue
    t.fail(`seed ${seed}, round ${round}: crc of ${part.byteLength} bytes differs`)
  }
  const [a, b] = [Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), Uint8Array.of(10, 11)]
  const joined = Uint8Array.of(...a, ...b)
  t.equal(portableCrc32(b, portableCrc32(a)), crc32(joined))
})

t.test('the crc of a stream is the crc of its frames’ crcs as little-endian words', async (t) => {
  const words = Uint8Array.of(0x78, 0x56, 0x34, 0x12, 0xef, 0xcd, 0xab, 0x90)
  const chained = chainCrc(crc32, chainCrc(crc32, 0, 0x12345678), 0x90abcdef)
  t.equal(chained, crc32(words))
  t.not(chained, chainCrc(crc32, chainCrc(crc32, 0, 0x90abcdef), 0x12345678), 'order counts')
})
