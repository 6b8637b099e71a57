import t from 'tap'
import { silentLog } from '../base/log.ts'
import { s } from '../base/index.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { FakeTransport } from '../testing/fake-transport.ts'
import { CLOSE, CLOSE_TIMEOUT_MS, Connection, SOON_MS } from './connection.ts'
import { encodeFrame, type Frame } from './frames.ts'

const schema = s.union({ say: s.object({ kind: s.literal('say'), text: s.string }) })
type Say = { readonly kind: 'say'; readonly text: string }

const FRAME: Frame = {
  kind: 'arrow',
  last: false,
  call: 1,
  sequence: 0,
  crc: 0,
  task: 0,
  attempt: 0,
  payload: Uint8Array.of(1),
}

function setUp(options: { ping?: boolean; frames?: boolean } = {}) {
  const transport = new FakeTransport()
  const clock = new FakeClock()
  const messages: Say[] = []
  const frames: Frame[] = []
  const closes: { code: number; reason: string }[] = []
  const connection = new Connection<Say, Say>(transport, {
    schema,
    clock,
    log: silentLog,
    onMessage: (message) => messages.push(message),
    ...(options.frames === true ? { onFrame: (frame: Frame) => void frames.push(frame) } : {}),
    onClose: (code, reason) => closes.push({ code, reason }),
    ping: options.ping === true ? { intervalMs: 500, missesMax: 4 } : undefined,
  })
  return { transport, clock, messages, frames, closes, connection }
}

t.test('messages and frames are decoded and handed on', async (t) => {
  const { transport, messages, frames, connection } = setUp({ frames: true })
  transport.events.onText('{"kind":"say","text":"hello"}')
  transport.events.onBinary(encodeFrame(FRAME))
  t.strictSame(messages, [{ kind: 'say', text: 'hello' }])
  t.strictSame(frames, [FRAME])
  connection.send({ kind: 'say', text: 'back' })
  t.strictSame(transport.sent, ['{"kind":"say","text":"back"}'])
})

t.test(
  'a message that can wait goes with the next one, or by itself, and never overtakes',
  async (t) => {
    const { transport, clock, connection } = setUp()
    const say = (text: string): Say => ({ kind: 'say', text })
    connection.sendSoon(say('a'))
    connection.sendSoon(say('b'))
    t.strictSame(transport.sent, [])
    connection.send(say('c'))
    t.strictSame(
      transport.sent.map((m) => (JSON.parse(String(m)) as Say).text),
      ['a', 'b', 'c'],
    )
    connection.sendSoon(say('d'))
    clock.advance(SOON_MS)
    t.equal(transport.sent.length, 4)
    t.equal(clock.timers, 0)
    connection.sendSoon(say('e'))
    connection.close()
    t.equal(transport.sent.length, 5, 'what waits is sent before the end')
    connection.sendSoon(say('f'))
    clock.advance(SOON_MS)
    t.equal(transport.sent.length, 5)
  },
)

t.test('what is not a message closes the connection with the reason', async (t) => {
  const cases: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ['{not json', /message is not JSON/],
    ['17', /message: expected object, got number/],
    ['{"kind":"sing"}', /message.kind: unknown kind "sing"/],
    ['{"kind":"say","text":"x","loud":true}', /message.loud: unknown field/],
    ['{"kind":"say"}', /message.text: expected string, got undefined/],
    [encodeFrame(FRAME), /binary frames are not expected here/],
  ]
  for (const [data, reason] of cases) {
    const { transport, messages, closes } = setUp()
    if (typeof data === 'string') transport.events.onText(data)
    else transport.events.onBinary(data)
    t.match(transport.closedWith, { code: CLOSE.protocolError, reason })
    transport.events.onText('{"kind":"say","text":"later"}')
    t.strictSame(messages, [], 'nothing that comes afterwards is looked at')
    transport.events.onClose(1005, '')
    t.match(closes, [{ code: CLOSE.protocolError, reason }], 'the user is told why we closed')
  }
})

t.test('a damaged frame closes the connection with the reason', async (t) => {
  const { transport } = setUp({ frames: true })
  transport.events.onBinary(Uint8Array.of(1, 2, 3))
  t.match(transport.closedWith, { reason: /frame of 3 bytes is shorter than its header/ })
})

t.test('a reason longer than a close frame holds is cut between characters', async (t) => {
  for (let shift = 0; shift < 4; shift++) {
    const { transport, connection } = setUp()
    connection.close(CLOSE.notWelcome, 'x'.repeat(shift) + '😀'.repeat(60))
    const reason = transport.closedWith?.reason ?? ''
    t.ok(new TextEncoder().encode(reason).byteLength <= 123)
  }
})

t.test('a ping is answered by the loop that does the work', async (t) => {
  const { transport, messages } = setUp()
  transport.events.onText('{"kind":"ping","nonce":42}')
  t.strictSame(transport.sent, ['{"kind":"pong","nonce":42}'])
  t.strictSame(messages, [])
})

t.test('a peer that answers no ping is dead after four and a half intervals', async (t) => {
  const { transport, clock, closes } = setUp({ ping: true })
  clock.advance(2_000)
  t.equal(transport.sent.length, 4)
  t.notOk(transport.terminated)
  clock.advance(249)
  t.notOk(transport.terminated)
  clock.advance(1)
  t.ok(transport.terminated)
  t.equal(closes.length, 1)
  t.match(closes[0], { code: CLOSE.silent, reason: 'no answer for 1750 ms' })
  clock.advance(5_000)
  t.equal(transport.sent.length, 4, 'no ping follows')
})

t.test('anything that comes from a peer shows that it lives', async (t) => {
  const { transport, clock, closes } = setUp({ ping: true })
  for (let i = 0; i < 20; i++) {
    clock.advance(1_500)
    transport.events.onText('{"kind":"pong","nonce":1}')
  }
  t.notOk(transport.terminated)
  t.strictSame(closes, [])
})

t.test('a peer that does not finish the closing handshake is cut', async (t) => {
  const { transport, clock, closes, connection } = setUp({ ping: true })
  connection.close(CLOSE.normal, 'done')
  t.ok(connection.closed)
  connection.send({ kind: 'say', text: 'too late' })
  t.strictSame(transport.sent, [])
  clock.advance(CLOSE_TIMEOUT_MS)
  t.ok(transport.terminated)
  t.strictSame(closes, [{ code: CLOSE.normal, reason: 'done' }])
  t.equal(clock.timers, 0, 'no timer is left')
})
