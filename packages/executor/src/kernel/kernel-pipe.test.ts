import { PassThrough } from 'node:stream'
import { Prng, systemClock } from '@nyala/client/base'
import t from 'tap'
import { KernelPipe, PACKET_HEADER_BYTES, type PipeEvents } from './kernel-pipe.ts'

class Recorder implements PipeEvents {
  readonly events: unknown[] = []

  onMessage(message: unknown): void {
    this.events.push(message)
  }

  onFrame(task: number, frame: Buffer): void {
    this.events.push([task, frame.toString('hex')])
  }

  onDamage(reason: string): void {
    this.events.push(reason)
  }

  onClose(): void {
    this.events.push('closed')
  }
}

const allocate = (bytes: number): Buffer => Buffer.alloc(bytes)

/** What a pipe writes for these packets, as one buffer. */
async function written(write: (pipe: KernelPipe) => void): Promise<Buffer> {
  const chunks: Buffer[] = []
  const stream = new PassThrough()
  const pipe = new KernelPipe(stream, noEvents, allocate)
  // A stream that passes on what is written: the pipe must not read its own packets.
  stream.removeAllListeners('data')
  stream.on('data', (bytes: Buffer) => chunks.push(bytes))
  write(pipe)
  stream.end()
  await new Promise((resolve) => stream.once('end', resolve))
  return Buffer.concat(chunks)
}

const noEvents: PipeEvents = {
  onMessage: () => undefined,
  onFrame: () => undefined,
  onDamage: () => undefined,
  onClose: () => undefined,
}

function packetOf(bytes: readonly number[]): Uint8Array {
  return Uint8Array.from([...Array.from({ length: PACKET_HEADER_BYTES }, () => 0), ...bytes])
}

t.test('packets arrive whole and in order, however the pipe cuts them', async (t) => {
  const seed = Number(process.argv[2] ?? systemClock.wall() % 1_000_000)
  t.comment(`seed ${seed}`)
  const prng = new Prng(seed)
  const bytes = await written((pipe) => {
    pipe.send({ kind: 'a', text: 'ü' })
    pipe.sendFrame(7, packetOf([1, 2, 3]), () => undefined)
    pipe.send({ kind: 'b' })
    pipe.sendFrame(8, packetOf(Array.from({ length: 1000 }, (_, i) => i % 256)), () => undefined)
  })
  for (let round = 0; round < 50; round++) {
    const stream = new PassThrough()
    const recorder = new Recorder()
    new KernelPipe(stream, recorder, allocate)
    for (let at = 0; at < bytes.byteLength;) {
      const size = 1 + prng.below(prng.pick([2, 20, 600]))
      stream.write(bytes.subarray(at, at + size))
      at += size
    }
    stream.end()
    await new Promise((resolve) => stream.once('close', resolve))
    t.match(recorder.events, [
      { kind: 'a', text: 'ü' },
      [7, '010203'],
      { kind: 'b' },
      [8, /^000102/],
      'closed',
    ])
  }
})

t.test('what is no packet is reported once, and nothing after it is read', async (t) => {
  const good = await written((pipe) => pipe.send({ kind: 'a' }))
  const header = (bytes: number, type: number): Buffer => {
    const buffer = Buffer.alloc(PACKET_HEADER_BYTES)
    buffer.writeUInt32LE(bytes, 0)
    buffer.writeUInt32LE(type, 4)
    return buffer
  }
  const bad: readonly (readonly [Buffer, RegExp])[] = [
    [header(0, 1), /packet of 0 bytes/],
    [header(0xffffffff, 1), /packet of 4294967295 bytes/],
    [Buffer.concat([header(2, 9), Buffer.from('{}')]), /packet of type 9/],
    [Buffer.concat([header(2, 1), Buffer.from('{]')]), /not JSON/],
  ]
  for (const [bytes, reason] of bad) {
    const stream = new PassThrough()
    const recorder = new Recorder()
    new KernelPipe(stream, recorder, allocate)
    stream.end(Buffer.concat([good, bytes, good, bytes]))
    await new Promise((resolve) => stream.once('close', resolve))
    t.match(recorder.events, [{ kind: 'a' }, reason, 'closed'])
    t.equal(recorder.events.length, 3)
  }
})
