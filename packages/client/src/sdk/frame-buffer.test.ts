import { Int32, Table, vectorFromArray } from 'apache-arrow'
import t from 'tap'
import { SqlError } from '../protocol/errors.ts'
import type { FinishedMessage, TaskEnd } from '../protocol/messages.ts'
import { messagesOf } from '../testing/arrow-messages.ts'
import { crc32 } from '../wire/crc32-node.ts'
import { chainCrc } from '../wire/crc32.ts'
import { FRAME_HEADER_BYTES, type Frame } from '../wire/frames.ts'
import { FrameBuffer, type HeldFrame, messageOf } from './frame-buffer.ts'

const [SCHEMA = new Uint8Array(), BATCH = new Uint8Array()] = messagesOf(
  new Table({ n: vectorFromArray([1, 2, 3], new Int32()) }),
)

const frame = (sequence: number, payload: Uint8Array, change: Partial<Frame> = {}): Frame => ({
  kind: 'arrow',
  last: false,
  call: 1,
  sequence,
  crc: crc32(payload),
  task: 0,
  attempt: 0,
  payload,
  ...change,
})

const chain = (...payloads: Uint8Array[]): number =>
  payloads.reduce((crc, payload) => chainCrc(crc32, crc, crc32(payload)), 0)

const endOf = (task: number, frames: number, rows: number, crc: number): TaskEnd => ({
  task,
  attempt: 0,
  frames,
  rows,
  crc,
})

const finished = (tasks: readonly TaskEnd[], rows: number): FinishedMessage =>
  ({ kind: 'finished', rows, tasks }) as unknown as FinishedMessage

const end = (frames: number, rows: number, crc: number): FinishedMessage =>
  finished([endOf(0, frames, rows, crc)], rows)

function setUp(windowBytes = 1_000_000) {
  const grants: (readonly [number, ...number[]])[] = []
  const buffer = new FrameBuffer({
    crc32,
    windowBytes,
    grant: (bytes, acknowledged) =>
      grants.push([bytes, ...acknowledged.map(({ frames }) => frames)]),
  })
  buffer.open()
  return { buffer, grants }
}

t.test('a complete stream is given out in order and then ends', async (t) => {
  const { buffer } = setUp()
  t.equal(buffer.push(frame(0, SCHEMA)), undefined)
  t.equal(buffer.push(frame(1, BATCH)), undefined)
  t.equal(buffer.finish(end(2, 3, chain(BATCH))), undefined)
  t.match(await buffer.take(), { sequence: 0, rows: 0 })
  t.match(await buffer.take(), { sequence: 1, rows: 3 })
  t.equal(await buffer.take(), undefined)
  t.equal(await buffer.take(), undefined)
})

t.test('a packed frame counts its rows and gives its message back when it is read', async (t) => {
  const { buffer } = setUp()
  // Header, no descriptors, and a head that is the whole message.
  const packed = new Uint8Array(16 + BATCH.byteLength)
  new Uint32Array(packed.buffer).set([3, BATCH.byteLength, 0, 0])
  packed.set(BATCH, 16)
  buffer.push(frame(0, SCHEMA))
  t.equal(buffer.push(frame(1, packed, { kind: 'packed' })), undefined)
  t.equal(buffer.push(frame(2, packed.subarray(0, 40), { kind: 'packed' })), undefined)
  t.equal(buffer.finish(end(3, 6, chain(packed, packed.subarray(0, 40)))), undefined)
  const read = async (): Promise<HeldFrame> => (await buffer.take()) as HeldFrame
  t.same(messageOf(await read()), SCHEMA)
  const whole = await read()
  t.equal(whole.rows, 3)
  t.same(messageOf(whole), BATCH)
  const cut = await read()
  t.throws(() => messageOf(cut), {
    error: 'protocol_violation',
    message: /frame 2 of task 0: .*damaged/,
  })
})

t.test('a stream that lost anything does not look complete', async (t) => {
  const { buffer } = setUp()
  buffer.push(frame(0, SCHEMA))
  buffer.push(frame(1, BATCH))
  const good = chain(BATCH)
  t.match(buffer.finish(finished([], 3)), /the end of task 0 did not come/)
  t.match(buffer.finish(end(3, 3, good)), /frames 3, but 2 came/)
  t.match(buffer.finish(end(2, 4, good)), /rows 4, but 3 came/)
  t.match(buffer.finish(finished([endOf(0, 2, 3, good)], 4)), /rows 4, but 3 came/)
  t.match(buffer.finish(end(2, 3, good ^ 1)), /checksum .* but .* came/)
  t.match(buffer.finish(end(2, 3, chain(SCHEMA))), /checksum/)
  t.equal(buffer.finish(end(2, 3, good)), undefined)
})

t.test('a frame that is damaged, skipped, of another attempt or kind is refused', async (t) => {
  const { buffer } = setUp()
  t.match(buffer.push(frame(1, SCHEMA)), /frame 1 of task 0 came where 0 was due/)
  t.match(buffer.push(frame(0, SCHEMA, { crc: 1 })), /frame 0 of task 0 has a wrong checksum/)
  t.match(buffer.push(frame(0, SCHEMA, { kind: 'segment' })), /is not arrow data/)
  t.equal(buffer.push(frame(0, SCHEMA)), undefined)
  t.match(buffer.push(frame(2, BATCH)), /frame 2 of task 0 came where 1 was due/)
  t.equal(buffer.push(frame(1, BATCH)), undefined)
  t.equal(buffer.push(frame(2, BATCH, { attempt: 1 })), undefined, 'another goes on')
  t.match(
    buffer.push(frame(3, BATCH)),
    /is of attempt 0, those before .* 1/,
    'and the first is over',
  )
  const noise = new Uint8Array(64)
  t.match(buffer.push(frame(3, noise, { attempt: 1 })), /does not hold an arrow message/)
})

t.test('no more than the window and one frame is held', async (t) => {
  const size = FRAME_HEADER_BYTES + BATCH.byteLength
  const { buffer, grants } = setUp(size * 4)
  for (let i = 0; i < 2; i++) t.equal(buffer.push(frame(i, BATCH)), undefined)
  t.strictSame(grants, [], 'of what is not read nothing is said')
  const taken = await buffer.take()
  t.strictSame(grants, [], 'taking is not consuming')
  for (let i = 2; i < 4; i++) t.equal(buffer.push(frame(i, BATCH)), undefined)
  t.match(buffer.push(frame(4, BATCH)), /frame 4 of task 0 came without credit/)
  const said = [3, 4].map((frames) => [0, frames])
  t.strictSame(grants, said, 'what is here need not be kept elsewhere')
  if (taken !== undefined) buffer.release(taken)
  t.strictSame(grants, [...said, [size]])
  t.equal(buffer.push(frame(4, BATCH)), undefined)
})

t.test('a frame larger than the window is not stuck', async (t) => {
  const { buffer, grants } = setUp(8)
  t.equal(buffer.push(frame(0, SCHEMA)), undefined)
  t.match(buffer.push(frame(1, BATCH)), /without credit/)
  const taken = await buffer.take()
  if (taken !== undefined) buffer.release(taken)
  t.strictSame(grants, [[FRAME_HEADER_BYTES + SCHEMA.byteLength, 1]])
  t.equal(buffer.push(frame(1, BATCH)), undefined)
})

t.test('a reader that waits gets the frame, the end or the error', async (t) => {
  const { buffer } = setUp()
  const waiting = buffer.take()
  t.notOk(buffer.started)
  buffer.push(frame(0, SCHEMA))
  t.ok(buffer.started, 'it counts as handed out before the reader has run')
  t.match(await waiting, { sequence: 0 })
  const next = buffer.take()
  const error = new SqlError('connection_failure', 'cut')
  buffer.fail(error)
  await t.rejects(next, error)
  await t.rejects(buffer.take(), error)
  t.equal(buffer.push(frame(1, BATCH)), undefined, 'what comes after the end is dropped')
})

t.test('frames that nobody has taken are dropped when the stream fails', async (t) => {
  const { buffer } = setUp()
  buffer.push(frame(0, SCHEMA))
  const error = new SqlError('executor_lost', 'gone')
  buffer.fail(error)
  await t.rejects(buffer.take(), error)
})

t.test('frames of several tasks come in any order, the schema once', async (t) => {
  const { buffer } = setUp()
  t.equal(buffer.push(frame(0, SCHEMA, { task: 5 })), undefined)
  t.equal(buffer.push(frame(1, BATCH, { task: 3 })), undefined)
  t.equal(buffer.push(frame(1, BATCH, { task: 5 })), undefined)
  t.equal(buffer.push(frame(2, BATCH, { task: 3 })), undefined)
  t.equal(buffer.endTask(endOf(3, 3, 6, chain(BATCH, BATCH))), undefined)
  t.match(buffer.push(frame(3, BATCH, { task: 3 })), /after the end of its task/)
  t.equal(buffer.endTask(endOf(4, 1, 0, 0)), undefined, 'a task without rows sends nothing')
  t.match(buffer.endTask(endOf(6, 2, 0, 0)), /frames 2, but 1 came/)
  const all = finished([endOf(5, 2, 3, chain(BATCH))], 9)
  t.equal(buffer.finish(all), undefined)
  const sequences: number[] = []
  for (;;) {
    const taken = await buffer.take()
    if (taken === undefined) break
    sequences.push(taken.sequence)
  }
  t.strictSame(sequences, [0, 1, 1, 2])
})

t.test('what came before is dropped, and its credit given back', async (t) => {
  const size = FRAME_HEADER_BYTES + BATCH.byteLength
  const { buffer, grants } = setUp(size * 4)
  buffer.push(frame(0, SCHEMA))
  buffer.push(frame(1, BATCH))
  t.equal(buffer.push(frame(1, BATCH)), undefined)
  t.strictSame(grants, [[size, 2]])
  t.match(await buffer.take(), { sequence: 0 })
  t.match(await buffer.take(), { sequence: 1 })
  t.equal(buffer.finish(end(2, 3, chain(BATCH))), undefined)
  t.equal(await buffer.take(), undefined)
})

t.test('frames are held until they may be handed out, or until the end', async (t) => {
  for (const how of ['open', 'finish'] as const) {
    const buffer = new FrameBuffer({ crc32, windowBytes: 1e6, grant: () => undefined })
    const early = buffer.take()
    buffer.push(frame(0, SCHEMA))
    buffer.push(frame(1, BATCH))
    t.notOk(buffer.started)
    if (how === 'open') buffer.open()
    else t.equal(buffer.finish(end(2, 3, chain(BATCH))), undefined)
    t.ok(buffer.started)
    t.match(await early, { sequence: 0 })
    t.match(await buffer.take(), { sequence: 1 })
  }
})

t.test('a place is what has come, and grants what is not held', async (t) => {
  const { buffer } = setUp(10_000)
  buffer.push(frame(0, SCHEMA, { task: 1 }))
  buffer.push(frame(1, BATCH, { task: 1 }))
  buffer.push(frame(1, BATCH, { task: 2, attempt: 7 }))
  const ended = endOf(1, 2, 3, chain(BATCH))
  buffer.endTask(ended)
  const held = 3 * FRAME_HEADER_BYTES + SCHEMA.byteLength + 2 * BATCH.byteLength
  t.strictSame(buffer.moved(), {
    place: [{ task: 2, attempt: 7, frames: 2, crc: chain(BATCH), frameRows: [3] }],
    ended: [ended],
    creditBytes: 10_000 - held,
  })
})

t.test('a task that has given no rows may be of another attempt from then on', async (t) => {
  const { buffer } = setUp()
  buffer.push(frame(0, SCHEMA))
  t.equal(buffer.push(frame(1, BATCH, { attempt: 1 })), undefined)
  t.match(buffer.push(frame(2, BATCH)), /is of attempt 0, those before it were of attempt 1/)
  const tasks = [{ ...endOf(0, 2, 3, chain(BATCH)), attempt: 1 }]
  t.equal(buffer.finish(finished(tasks, 3)), undefined)
  const empty = setUp()
  empty.buffer.push(frame(0, SCHEMA))
  t.equal(empty.buffer.finish(finished([{ ...endOf(0, 1, 0, 0), attempt: 2 }], 0)), undefined)
})

t.test(
  'another attempt may go on after rows, and must have made the same frames before',
  async (t) => {
    for (const [crc, says] of [
      [chain(BATCH, BATCH), undefined],
      [chain(BATCH), /checksum/],
    ] as const) {
      const { buffer } = setUp()
      buffer.push(frame(0, SCHEMA))
      buffer.push(frame(1, BATCH))
      t.equal(buffer.push(frame(1, BATCH, { attempt: 500 })), undefined, 'what has come is dropped')
      t.equal(buffer.push(frame(2, BATCH, { attempt: 501 })), undefined)
      const end = { ...endOf(0, 3, 6, crc), attempt: 501 }
      const told = buffer.finish(finished([end], 6))
      if (says === undefined) t.equal(told, undefined)
      else t.match(told, says)
    }
    const { buffer } = setUp()
    buffer.push(frame(0, SCHEMA))
    buffer.push(frame(1, BATCH))
    const end = { ...endOf(0, 2, 3, chain(BATCH)), attempt: 1 }
    t.equal(buffer.finish(finished([end], 3)), undefined, 'nothing was left but the end')
  },
)
