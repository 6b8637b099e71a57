import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { ResultBuffer, RESULT_BUFFER_BYTES_MAX, type ResultConsumer } from './result-buffer.ts'

const MIB = 1024 * 1024

class FakeConsumer implements ResultConsumer {
  readonly frames: number[] = []
  readonly ends: unknown[] = []
  room: number

  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room
  }

  get wantsMore(): boolean {
    return this.room > 0
  }

  /** Frames in flight: those that have not left the process. */
  inFlight = 0

  get framesGone(): number {
    return this.frames.length - this.inFlight
  }

  frame(frame: Buffer): void {
    this.room--
    this.frames.push(frame.readUInt32LE(0))
  }

  ended(frames: number): void {
    this.ends.push(frames)
  }

  failed(error: SqlError): void {
    this.ends.push(error.error)
  }
}

function frame(number: number, bytes = 8): Buffer {
  const buffer = Buffer.alloc(bytes)
  buffer.writeUInt32LE(number)
  return buffer
}

t.test('a consumer gets all frames in order, then the end, however it comes late', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  buffer.push(frame(0))
  const consumer = new FakeConsumer()
  t.ok(buffer.attach(consumer, 0))
  buffer.push(frame(1))
  buffer.complete()
  t.same(consumer.frames, [0, 1])
  t.same(consumer.ends, [2])
})

t.test('a consumer that wants no more gets no more until it does', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  const consumer = new FakeConsumer(1)
  buffer.attach(consumer, 0)
  for (const i of [0, 1, 2]) buffer.push(frame(i))
  buffer.complete()
  t.same(consumer.frames, [0])
  consumer.room = 2
  buffer.pump()
  t.same(consumer.frames, [0, 1, 2])
  t.same(consumer.ends, [3])
})

t.test('bytes held and credit given never pass the limit', async (t) => {
  let granted = RESULT_BUFFER_BYTES_MAX
  let pushed = 0
  const buffer = new ResultBuffer((bytes) => (granted += bytes))
  const consumer = new FakeConsumer(0)
  buffer.attach(consumer, 0)
  for (let i = 0; i < 100; i++) {
    while (granted - pushed >= MIB) {
      buffer.push(frame(i, MIB))
      pushed += MIB
      t.ok(buffer.heldBytes + (granted - pushed) <= RESULT_BUFFER_BYTES_MAX)
    }
    consumer.room = 1
    buffer.pump()
    buffer.acknowledge(consumer.frames.length)
  }
  t.ok(buffer.frames > 50, 'the kernel went on')
})

t.test('a small result can be read again whole', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  for (const i of [0, 1]) buffer.push(frame(i))
  buffer.complete()
  for (let i = 0; i < 2; i++) {
    const consumer = new FakeConsumer()
    t.ok(buffer.attach(consumer, 0))
    t.same(consumer.frames, [0, 1])
  }
  t.equal(buffer.whole()?.length, 2)
})

t.test('frames that were dropped cannot be asked for, later ones can', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  buffer.attach(new FakeConsumer(), 0)
  for (let i = 0; i < 8; i++) buffer.push(frame(i, MIB))
  t.equal(buffer.firstFrame, 0, 'what was sent is not dropped')
  buffer.acknowledge(5)
  for (let i = 8; i < 12; i++) buffer.push(frame(i, MIB))
  t.ok(buffer.firstFrame > 0 && buffer.firstFrame <= 5, 'what was acknowledged is')
  t.notOk(buffer.attach(new FakeConsumer(), 0))
  t.notOk(buffer.attach(new FakeConsumer(), 13))
  const consumer = new FakeConsumer()
  t.ok(buffer.attach(consumer, 11))
  t.same(consumer.frames, [11])
})

t.test('a new consumer takes over, and the old one is told', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  const [old, fresh] = [new FakeConsumer(), new FakeConsumer()]
  buffer.attach(old, 0)
  buffer.push(frame(0))
  buffer.attach(fresh, 0)
  buffer.push(frame(1))
  t.same(old.frames, [0])
  t.same(old.ends, ['task_superseded'])
  t.same(fresh.frames, [0, 1])
})

t.test('a failure reaches the consumer that is there, and the one that comes', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  const [here, later] = [new FakeConsumer(), new FakeConsumer()]
  buffer.attach(here, 0)
  buffer.push(frame(0))
  buffer.fail(new SqlError('kernel_crashed', 'gone'))
  buffer.attach(later, 0)
  t.same([here.ends, later.ends], [['kernel_crashed'], ['kernel_crashed']])
})

t.test('a consumer that left gets nothing, and misses nothing for the next', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  const [gone, next] = [new FakeConsumer(), new FakeConsumer()]
  buffer.attach(gone, 0)
  buffer.detach(gone)
  buffer.push(frame(0))
  buffer.complete()
  buffer.attach(next, 0)
  t.same([gone.frames, gone.ends], [[], []])
  t.same([next.frames, next.ends], [[0], [1]])
})

t.test('memory is used again only for frames that were dropped and have left', async (t) => {
  const recycled: number[] = []
  const buffer = new ResultBuffer(
    () => undefined,
    (gone) => recycled.push(gone.readUInt32LE(0)),
  )
  const consumer = new FakeConsumer()
  consumer.inFlight = 2
  buffer.attach(consumer, 0)
  for (let i = 0; i < 20; i++) {
    buffer.push(frame(i, MIB))
    buffer.acknowledge(i + 1)
    const dropped = buffer.firstFrame
    t.ok(recycled.every((number) => number < dropped && number < consumer.framesGone))
  }
  t.ok(recycled.length > 5)
  const before = recycled.length
  const next = new FakeConsumer()
  buffer.attach(next, buffer.firstFrame)
  for (let i = 20; i < 30; i++) {
    buffer.push(frame(i, MIB))
    buffer.acknowledge(i + 1)
  }
  t.ok(
    recycled.slice(before).every((number) => number >= 20),
    'what was on its way to the first consumer is left alone',
  )
})

t.test('a result that is given up says so to whoever had not been given all of it', async (t) => {
  const reason = new SqlError('query_canceled', 'released')
  for (const ended of [true, false]) {
    const buffer = new ResultBuffer(() => undefined)
    const [slow, late] = [new FakeConsumer(1), new FakeConsumer()]
    for (const i of [0, 1, 2]) buffer.push(frame(i))
    if (ended) buffer.complete()
    buffer.attach(slow, 0)
    buffer.drop(reason)
    t.same([slow.frames, slow.ends], [[0], ['query_canceled']])
    if (!ended) continue
    t.equal(buffer.heldBytes, 0)
    t.notOk(buffer.attach(late, 0), 'its frames are gone')
  }
  const read = new ResultBuffer(() => undefined)
  const consumer = new FakeConsumer()
  read.attach(consumer, 0)
  read.push(frame(0))
  read.complete()
  read.drop(reason)
  t.same(consumer.ends, [1], 'one that was given all hears of one end')
})

t.test('what waits for the consumer is what it has not been given', async (t) => {
  const buffer = new ResultBuffer(() => undefined)
  for (const i of [0, 1, 2]) buffer.push(frame(i, 100))
  t.equal(buffer.unsentBytes, 300)
  const consumer = new FakeConsumer(2)
  buffer.attach(consumer, 0)
  t.equal(buffer.unsentBytes, 100)
  buffer.push(frame(3, 100))
  t.equal(buffer.unsentBytes, 200)
  consumer.room = 9
  buffer.pump()
  t.equal(buffer.unsentBytes, 0)
  buffer.attach(new FakeConsumer(0), 1)
  t.equal(buffer.unsentBytes, 300, 'a new consumer is given them again')
})

t.test(
  'acknowledgements come late, twice and too far, and drop no more than was sent',
  async (t) => {
    const buffer = new ResultBuffer(() => undefined)
    const consumer = new FakeConsumer(4)
    buffer.attach(consumer, 0)
    for (let i = 0; i < 8; i++) buffer.push(frame(i, MIB))
    buffer.acknowledge(3)
    buffer.acknowledge(1)
    buffer.acknowledge(99)
    t.equal(buffer.firstFrame, 4)
    consumer.room = 9
    buffer.pump()
    buffer.complete()
    t.same(consumer.frames, [0, 1, 2, 3, 4, 5, 6, 7])
    t.equal(buffer.heldBytes, 0, 'of a result that has ended nothing acknowledged is kept')
  },
)

t.test(
  'the call of a frame on its way to one consumer is not changed by the next one',
  async (t) => {
    const buffer = new ResultBuffer(() => undefined)
    const kept: Buffer[] = []
    const keeping = (): ResultConsumer => ({
      wantsMore: true,
      framesGone: 0,
      frame: (sent) => kept.push(sent),
      ended: () => undefined,
      failed: () => undefined,
    })
    buffer.attach(keeping(), 0)
    for (const i of [0, 1]) buffer.push(frame(i))
    buffer.attach(keeping(), 1)
    buffer.push(frame(2))
    t.same(
      kept.map((sent) => sent.readUInt32LE(0)),
      [0, 1, 1, 2],
    )
    t.not(kept[1]?.buffer, kept[2]?.buffer)
  },
)
