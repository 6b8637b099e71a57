import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '@nyala/client/base'
import t from 'tap'
import { forgivingWriter, openSupervisorLog } from './supervisor-log.ts'
import { temporaryDirectory } from './testing/temporary-directory.ts'

t.test('lines that cannot be written are lost, and the next one says how many', async (t) => {
  let full = false
  let text = ''
  const write = forgivingWriter((part) => {
    if (full) throw new Error('no room')
    text += part
  })
  write('a\n')
  full = true
  write('b\n')
  write('c\n')
  full = false
  write('d\n')
  write('e\n')
  t.equal(text, 'a\n\n{"event":"linesLost","lost":2}\nd\ne\n')
})

t.test('what is logged stands in the file at once', async (t) => {
  const dir = await temporaryDirectory(t)
  await mkdir(join(dir, 'logs'))
  await using opened = await openSupervisorLog(dir, systemClock)
  opened.log.info('memberReady', { id: 'c1' })
  const line = await readFile(join(dir, 'logs', 'supervisor.log'), 'utf8')
  t.match(JSON.parse(line), { level: 'info', event: 'memberReady', id: 'c1' })
})
