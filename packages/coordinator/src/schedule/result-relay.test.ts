import { crc32 } from 'node:zlib'
import { Prng } from '@nyala/client/base'
import type { TaskEnd } from '@nyala/client/protocol'
import {
  chainCrc,
  decodeFrame,
  encodeFrame,
  type Frame,
  FRAME_HEADER_BYTES,
} from '@nyala/client/wire'
import t from 'tap'
import {
  type Aside,
  type FrameSource,
  ResultRelay,
  type ResultRelayOptions,
} from './result-relay.ts'

/** A frame as a task sends it. */
function frameOf(
  task: number,
  sequence: number,
  { size = 10, attempt = 0 }: { readonly size?: number; readonly attempt?: number } = {},
): { frame: Frame; message: Uint8Array } {
  const payload = new Uint8Array(size).fill(sequence % 251)
  const message = encodeFrame({
    kind: 'arrow',
    last: false,
    call: 7,
    task,
    attempt,
    sequence,
    crc: crc32(payload),
    payload,
  })
  return { frame: decodeFrame(message) as Frame, message }
}

interface Recorder {
  readonly relay: ResultRelay
  readonly sent: Frame[]
  readonly said: (Aside | string)[]
}

function recorder(
  creditBytes: number,
  options: Partial<ResultRelayOptions> & { readonly held?: boolean } = {},
): Recorder {
  const sent: Frame[] = []
  const said: (Aside | string)[] = []
  const relay = new ResultRelay({
    call: 42,
    creditBytes,
    send(message) {
      const frame = decodeFrame(message.slice())
      if (typeof frame === 'string') throw new Error(frame)
      sent.push(frame)
      said.push(`${frame.task}/${frame.sequence}`)
    },
    say: (aside) => said.push(aside),
    ...options,
  })
  if (options.held !== true) relay.open(true)
  return { relay, sent, said }
}

/** What a source is told. */
class Source implements FrameSource {
  sentBytes = 0
  times = 0
  frames = 0
  sent(bytes: number): void {
    this.sentBytes += bytes
    this.times++
  }
  acknowledged(frames: number): void {
    this.frames = frames
  }
}

const push = (
  relay: ResultRelay,
  task: number,
  sequence: number,
  options: { readonly size?: number; readonly attempt?: number; readonly source?: Source } = {},
): void => {
  const { frame, message } = frameOf(task, sequence, options)
  relay.push(frame, message, options.source ?? new Source())
}

const end = (task: number, frames: number): TaskEnd => ({
  task,
  attempt: 0,
  frames,
  rows: 1,
  crc: 0,
})

t.test('frames keep the name they have in their task, under the call of the client', async (t) => {
  const { relay, sent } = recorder(1e6)
  push(relay, 1, 0)
  push(relay, 1, 1)
  push(relay, 2, 0)
  push(relay, 2, 1)
  push(relay, 1, 2)
  t.same(
    sent.map((f) => [f.call, f.task, f.sequence]),
    [
      [42, 1, 0],
      [42, 1, 1],
      [42, 2, 1],
      [42, 1, 2],
    ],
    'the schema once',
  )
  for (const frame of sent) t.equal(crc32(frame.payload), frame.crc, 'payloads are as they came')
})

t.test('a dropped schema counts as sent', async (t) => {
  const { relay, sent } = recorder(1e6)
  const source = new Source()
  for (const task of [1, 2, 3]) push(relay, task, 0, { source })
  t.equal(sent.length, 1)
  t.equal(source.times, 3)
})

t.test('nothing leaves that might have to be made again elsewhere', async (t) => {
  const { relay, said } = recorder(1e6, { held: true })
  const held: number[] = []
  relay.onHeld((bytes) => held.push(bytes))
  push(relay, 1, 0)
  push(relay, 1, 1)
  relay.end(end(1, 2))
  t.same(said, [])
  const size = 10 + FRAME_HEADER_BYTES
  t.same(held, [size, 2 * size])
  relay.open(true)
  t.same(said, [
    { kind: 'streaming', resumable: true },
    '1/0',
    '1/1',
    { kind: 'taskEnded', end: end(1, 2) },
  ])
  t.same(relay.untoldEnds, [])
})

t.test('a result that is all here leaves in one go, where the client can hold it', async (t) => {
  const small = recorder(1e6, { held: true })
  const large = recorder(20, { held: true })
  for (const { relay } of [small, large]) {
    push(relay, 1, 0)
    push(relay, 1, 1)
    relay.end(end(1, 2))
  }
  await small.relay.empty()
  t.same(small.said, ['1/0', '1/1'])
  t.same(small.relay.untoldEnds, [end(1, 2)])
  const emptied = large.relay.empty()
  t.same(large.said, [{ kind: 'streaming', resumable: false }, '1/0'])
  large.relay.grant(1e6)
  await emptied
  t.same(large.relay.untoldEnds, [end(1, 2)])
})

t.test('a result that goes out may become resumable later, and not the other way', async (t) => {
  const { relay, said } = recorder(1e6, { held: true })
  for (const resumable of [false, false, true, true, false]) relay.open(resumable)
  t.same(said, [
    { kind: 'streaming', resumable: false },
    { kind: 'streaming', resumable: true },
  ])
})

t.test('what the client has is not sent again', async (t) => {
  const { relay, sent } = recorder(1e6, {
    place: [{ task: 1, attempt: 3, frames: 2, crc: 0, frameRows: [1] }],
    ended: [{ ...end(9, 4) }],
  })
  for (const sequence of [0, 1, 2]) push(relay, 1, sequence, { attempt: 3 })
  push(relay, 2, 0)
  push(relay, 2, 1)
  t.same(
    sent.map((f) => [f.task, f.sequence]),
    [
      [1, 2],
      [2, 1],
    ],
  )
  t.ok(relay.hasSentRows(1))
})

t.test('what the client has may be forgotten by the task, and by no other attempt', async (t) => {
  const { relay } = recorder(1e6)
  const source = new Source()
  for (const sequence of [0, 1, 2]) push(relay, 1, sequence, { source })
  relay.grant(10, [{ task: 1, attempt: 0, frames: 2 }])
  t.equal(source.frames, 2)
  relay.grant(10, [{ task: 1, attempt: 1, frames: 3 }])
  t.equal(source.frames, 2)
  relay.grant(10, [{ task: 1, attempt: 0, frames: 99 }])
  t.equal(source.frames, 3, 'nobody has what was not sent')
})

t.test('a task of which no row has left can be begun anew', async (t) => {
  const { relay, sent } = recorder(1)
  push(relay, 1, 0)
  push(relay, 1, 1)
  t.notOk(relay.hasSentRows(1))
  t.equal(relay.restart(1), undefined)
  push(relay, 1, 0, { attempt: 1 })
  push(relay, 1, 1, { attempt: 1 })
  relay.grant(1e6)
  t.same(
    sent.map((f) => [f.attempt, f.sequence]),
    [
      [0, 0],
      [1, 1],
    ],
  )
  t.ok(relay.hasSentRows(1))
  t.throws(() => push(relay, 1, 1), /attempt 0 of task 1 after attempt 1/)
  t.throws(() => push(relay, 1, 5, { attempt: 1 }), /frame 5 .* before 2/)
})

t.test('a frame leaves only while there is credit', async (t) => {
  const size = 100 + FRAME_HEADER_BYTES
  const { relay, sent } = recorder(size)
  const source = new Source()
  for (let i = 0; i < 4; i++) push(relay, 1, i, { size: 100, source })
  t.equal(sent.length, 1)
  t.equal(source.times, 1, 'a task is granted more only when a frame of it has left')
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

t.test('where nobody reads, what has left is acknowledged at once', async (t) => {
  const relay = new ResultRelay({ call: 0, creditBytes: 1e6, send: () => undefined })
  const source = new Source()
  push(relay, 1, 0, { source })
  push(relay, 1, 1, { source })
  t.equal(source.frames, 2)
})

t.test('in order, nothing of a task leaves before all of the one before has', async (t) => {
  const { relay, said } = recorder(1e6)
  relay.inOrder([1, 2, 3])
  push(relay, 3, 0)
  push(relay, 2, 0)
  push(relay, 2, 1)
  relay.end(end(2, 2))
  t.same(said.splice(0), [{ kind: 'streaming', resumable: true }], 'the later ones wait')
  push(relay, 1, 0)
  push(relay, 3, 1)
  push(relay, 1, 1)
  t.same(said.splice(0), ['1/0', '1/1'], 'the first one goes at once')
  t.notOk(relay.hasSentRows(2))
  relay.end(end(1, 2))
  const ended = (task: number) => ({ kind: 'taskEnded', end: end(task, 2) })
  t.same(
    said.splice(0),
    [ended(1), '2/1', ended(2), '3/1'],
    'and then what waited, the schema once',
  )
  relay.end(end(3, 2))
  t.same(said, [ended(3)])
})

t.test(
  'in order, what waits is not granted anew, and goes on from where the client is',
  async (t) => {
    const { relay, sent } = recorder(1e6, {
      place: [{ task: 2, attempt: 0, frames: 2, crc: 0, frameRows: [1] }],
      ended: [end(1, 3)],
    })
    const later = new Source()
    relay.inOrder([1, 2, 3])
    push(relay, 3, 0, { source: later })
    push(relay, 3, 1, { source: later })
    t.equal(later.times, 0)
    for (const sequence of [1, 2]) push(relay, 2, sequence)
    relay.end(end(2, 3))
    t.same(
      sent.map((f) => [f.task, f.sequence]),
      [
        [2, 2],
        [3, 1],
      ],
    )
    t.equal(later.times, 2)
    t.equal(relay.waitingBytes, 0)
  },
)

t.test('in order, a small result that is all here leaves in order', async (t) => {
  const { relay, said } = recorder(1e6, { held: true })
  relay.inOrder([1, 2])
  for (const task of [2, 1]) {
    push(relay, task, 0)
    push(relay, task, 1)
    relay.end(end(task, 2))
  }
  await relay.empty()
  t.same(said, ['1/0', '1/1', '2/1'])
  t.same(relay.untoldEnds, [end(1, 2), end(2, 2)])
})

t.test('the schema is not lost with the task whose schema came first', async (t) => {
  const { relay, said } = recorder(1e6, { held: true })
  push(relay, 1, 0)
  push(relay, 2, 0)
  t.equal(relay.restart(1), undefined)
  push(relay, 2, 1)
  push(relay, 1, 0, { attempt: 1 })
  relay.open(true)
  t.same(said.slice(1), ['2/0', '2/1'])
})

t.test(
  'another attempt goes on after rows that have left, and what waited leaves before it',
  async (t) => {
    const { relay, sent } = recorder(1e6)
    const lost = new Source()
    push(relay, 1, 0, { source: lost })
    push(relay, 1, 1, { source: lost })
    relay.grant(-1e6)
    push(relay, 1, 2, { source: lost })
    const chain = [1, 2].reduce((crc, n) => chainCrc(crc32, crc, frameOf(1, n).frame.crc), 0)
    t.strictSame(relay.restart(1), { frames: 3, crc: chain, frameRows: [0, 0] })
    const next = new Source()
    t.throws(() => push(relay, 1, 4, { attempt: 1, source: next }), /came before 3/)
    push(relay, 1, 3, { attempt: 1, source: next })
    t.throws(() => push(relay, 1, 4), /attempt 0 of task 1 after attempt 1/)
    const before = lost.sentBytes
    relay.grant(1e6)
    t.same(
      sent.map((f) => [f.attempt, f.sequence]),
      [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 3],
      ],
    )
    t.ok(lost.sentBytes > before, 'whoever sent a frame is told that it has left')
    t.equal(next.times, 1)
  },
)

t.test('a place that a client came with is gone on with', async (t) => {
  const place = [{ task: 1, attempt: 500, frames: 4, crc: 9, frameRows: [1, 2, 3] }]
  const { relay, sent } = recorder(1e6, { place })
  t.strictSame(relay.restart(1), { frames: 4, crc: 9, frameRows: [1, 2, 3] })
  push(relay, 1, 4, { attempt: 1500 })
  t.same(
    sent.map((f) => [f.attempt, f.sequence]),
    [[1500, 4]],
  )
})

t.test('a result of which other frames came than its executor has sent is refused', (t) => {
  const own = [frameOf(0, 0), frameOf(0, 1), frameOf(0, 2)]
  const crc = own.slice(1).reduce((chain, { frame }) => chainCrc(crc32, chain, frame.crc), 0)
  const end: TaskEnd = { task: 0, attempt: 0, frames: 3, rows: 0, crc }
  const collected = (...frames: readonly ReturnType<typeof frameOf>[]): ResultRelay => {
    const relay = new ResultRelay({ call: 0, creditBytes: 1_000, send: () => undefined })
    for (const { frame, message } of frames) relay.push(frame, message, new Source())
    relay.end(end)
    return relay
  }
  t.doesNotThrow(() => collected(...own).checkEnds())
  const violation = { error: 'protocol_violation' } as const
  const check = (relay: ResultRelay) => (): void => relay.checkEnds()
  t.match(thrown(check(collected(...own.slice(0, 2)))), violation, 'one is missing')
  const foreign = frameOf(0, 2, { size: 11 })
  t.match(thrown(check(collected(...own.slice(0, 2), foreign))), violation, 'one is of another')
  t.match(thrown(check(collected())), violation)
  t.end()
})

function thrown(work: () => void): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}
