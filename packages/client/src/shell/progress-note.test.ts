import t from 'tap'
import { systemClock } from '../base/clock.ts'
import { FakeCoordinator, type FakeOptions } from '../testing/fake-coordinator.ts'
import { FakeShell } from '../testing/fake-shell.ts'
import { numbersAnswer } from '../testing/sample-results.ts'
import { crc32 } from '../wire/crc32-node.ts'
import { chainCrc } from '../wire/crc32.ts'
import { runCommand } from './commands.ts'

const ROWS = 100
const BATCH = 10
const ANSWER = numbersAnswer(ROWS, BATCH)
const [SCHEMA = new Uint8Array(), ...BATCHES] = ANSWER.messages ?? []

t.test('the shell says who went on with a result, and shows each row once', async (t) => {
  const shell = new FakeShell({})
  const options = (id: string): FakeOptions => ({
    id,
    resumable: true,
    onStatement: async (call) => {
      call.accept()
      call.columns(ANSWER.columns ?? [])
      await call.frame(SCHEMA)
      for (const batch of BATCHES.slice(0, 3)) await call.frame(batch)
      // What was sent is on its way before the connection goes; how much of it has come is not what counts.
      await systemClock.sleep(50)
      await call.coordinator.close()
    },
    onAttach: async (call, { place: [at] }) => {
      const had = BATCHES.slice(0, Math.max(0, (at?.frames ?? 0) - 1))
      const crc = had.reduce((sum, one) => chainCrc(crc32, sum, crc32(one)), 0)
      call.startTask(0, { frames: had.length + 1, rows: had.length * BATCH, crc })
      call.accept()
      call.columns(ANSWER.columns ?? [])
      call.streaming(true)
      for (const batch of BATCHES.slice(had.length)) await call.frame(batch)
      call.finish()
    },
  })
  const fakes = await Promise.all(['c1', 'c2'].map((id) => FakeCoordinator.start(options(id))))
  t.teardown(() => Promise.all(fakes.map((fake) => fake.close())))
  const addresses = fakes.map(({ address }) => address).join(',')
  const url = `nyala://${addresses}`
  const args = ['sql', '--url', url, '--progress', '--format', 'csv', '-e', 'SELECT 1']
  t.equal(await runCommand(args, shell.io), 0)
  const began = fakes.findIndex((fake) => fake.receivedOf('statement').length > 0)
  const [from, to] = began === 0 ? ['c1', 'c2'] : ['c2', 'c1']
  const notes = shell.stderr.text.split('\n').filter((line) => line !== '' && !line.includes('▕'))
  t.equal(notes.length, 1)
  const [, row] = /^(?:.*) at row (\d+)$/.exec(notes[0] ?? '') ?? []
  t.equal(notes[0], `${from} was lost, going on with ${to} at row ${row}`)
  t.ok(Number(row) <= 3 * BATCH, 'no row that had not come')
  const numbers = shell.stdout.text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => Number(line.split(',')[0]))
  t.same(
    numbers,
    Array.from({ length: ROWS }, (_, i) => i),
  )
})
