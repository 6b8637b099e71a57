import { crc32 } from 'node:zlib'
import { Prng } from '@nyala/client/base'
import { decodeFrame, encodeFrame, type Frame, FRAME_HEADER_BYTES } from '@nyala/client/wire'
import t from 'tap'
import { ResultRelay } from './result-relay.ts'

/** A frame as a task sends it. */
function frameOf(
  call: number,
  sequence: number,
  size: number,
): { frame: Frame; message: Uint8Array } {
  const payload = new Uint8Array(size).fill(sequence % 251)
  const frame: Frame = { kind: 'arrow', last: false, call, sequence, crc: crc32(payload), payload }
  return { frame, message: encodeFrame(frame) }
}

interface Recorder {
  readonly relay: ResultRelay
  readonly sent: Frame[]
}

function recorder(creditBytes: number): Recorder {
  const sent: Frame[] = []
  const relay = new ResultRelay({
    call: 42,
    creditBytes,
    send(message) {
      const frame = decodeFrame(message.slice())
      if (typeof frame === 'string') throw new Error(frame)
      sent.push(frame)
    },
  })
  return { relay, sent }
}

const push = (
  relay: ResultRelay,
  call: number,
  sequence: number,
  { size = 10, sent = () => {} }: { readonly size?: number; readonly sent?: () => void } = {},
): boolean => {
  const { frame, message } = frameOf(call, sequence, size)
  return relay.push(frame, message, sent)
}

t.test(
  'frames of several tasks leave in one numbering, under the call of the client',
  async (t) => {
    const { relay, sent } = recorder(1e6)
    t.notOk(push(relay, 1, 0), 'a schema carries no rows')
    t.ok(push(relay, 1, 1))
    t.ok(push(relay, 1, 2))
    push(relay, 2, 0)
    t.ok(push(relay, 2, 1))
    t.same(
      sent.map((f) => [f.call, f.sequence]),
      [0, 1, 2, 3].map((n) => [42, n]),
    )
    t.equal(relay.frames, 4)
  },
)

t.test('the schema frame of every task but the first is dropped, and counts as sent', async (t) => {
  const { relay, sent } = recorder(1e6)
  let acknowledged = 0
  for (const call of [1, 2, 3]) push(relay, call, 0, { sent: () => acknowledged++ })
  t.equal(sent.length, 1)
  t.equal(acknowledged, 3)
})

t.test('payloads and their crcs are passed on as they came', async (t) => {
  const { relay, sent } = recorder(1e6)
  for (let i = 0; i < 5; i++) push(relay, 1, i, { size: 100 + i })
  for (const frame of sent) t.equal(crc32(frame.payload), frame.crc)
  t.equal(relay.bytes, 100 + 101 + 102 + 103 + 104)
})

t.test('the crc of the stream is that of the frames’ crcs in order', async (t) => {
  const { relay, sent } = recorder(1e6)
  for (let i = 0; i < 5; i++) push(relay, 1, i)
  const joined = Buffer.alloc(4 * sent.length)
  sent.forEach((frame, i) => joined.writeUInt32LE(frame.crc, 4 * i))
  t.equal(relay.crc, crc32(joined))
  const other = recorder(1e6)
  for (const i of [0, 2, 1, 3, 4]) push(other.relay, 1, i)
  t.not(other.relay.crc, relay.crc, 'another order has another crc')
})

t.test('a frame leaves only while there is credit', async (t) => {
  const size = 100 + FRAME_HEADER_BYTES
  const { relay, sent } = recorder(size)
  let granted = 0
  for (let i = 0; i < 4; i++) push(relay, 1, i, { size: 100, sent: () => granted++ })
  t.equal(sent.length, 1)
  t.equal(granted, 1, 'a task is granted more only when a frame of it has left')
  t.equal(relay.waitingBytes, 3 * size)
  relay.grant(1)
  t.equal(sent.length, 2, 'one frame may be larger than the credit')
  relay.grant(size - 1)
  t.equal(sent.length, 2, 'the debt is paid first')
  relay.grant(2 * size)
  t.equal(sent.length, 4)
  t.equal(relay.waitingBytes, 0)
})

t.test('without credit nothing leaves, not even the schema', async (t) => {
  const { relay, sent } = recorder(0)
  push(relay, 1, 0)
  t.equal(sent.length, 0)
})

t.test(
  'under any pattern of frames and credits no more is sent than was granted, and all in the end',
  async (t) => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Prng(seed)
      let credit = random.below(500)
      const { relay, sent } = recorder(credit)
      const sizes: number[] = []
      for (let step = 0; step < 100; step++) {
        if (random.chance(0.6)) {
          const size = random.below(300)
          push(relay, 1, sizes.length, { size })
          sizes.push(size)
        } else {
          const bytes = random.below(400) + 1
          credit += bytes
          relay.grant(bytes)
        }
        const before = sent
          .slice(0, -1)
          .reduce((n, f) => n + f.payload.byteLength + FRAME_HEADER_BYTES, 0)
        if (sent.length > 0 && before >= credit) t.fail(`seed ${seed}: a frame left without credit`)
      }
      relay.grant(1e6)
      await relay.empty()
      t.same(
        sent.map((f) => f.payload.byteLength),
        sizes,
        `seed ${seed}: each frame once, in order`,
      )
    }
  },
)

t.test('empty resolves when the last frame has left', async (t) => {
  const { relay } = recorder(0)
  push(relay, 1, 0)
  let isEmpty = false
  const waiting = relay.empty().then(() => {
    isEmpty = true
  })
  await Promise.resolve()
  t.notOk(isEmpty)
  relay.grant(100)
  await waiting
  t.ok(isEmpty)
})

t.test('nothing is sent after a stop, and who waits for the end goes on', async (t) => {
  const { relay, sent } = recorder(0)
  push(relay, 1, 0)
  const waiting = relay.empty()
  relay.stop()
  await waiting
  relay.grant(1e9)
  push(relay, 1, 1)
  t.equal(sent.length, 0)
})
