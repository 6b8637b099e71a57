import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog, systemClock } from '@nyala/client/base'
import { crc32, type Frame } from '@nyala/client/wire'
import t, { type Test } from 'tap'
import { Uploads } from './uploads.ts'

const UPLOAD = 'statement-1'

async function openUploads(test: Test) {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-uploads-'))
  test.teardown(() => rm(directory, { recursive: true, force: true }))
  return { directory, uploads: new Uploads({ directory, clock: systemClock, log: silentLog }) }
}

function frame(text: string, { sequence = 0, last = true } = {}): Frame {
  const payload = Buffer.from(text)
  const crc = crc32(payload)
  return { kind: 'segment', last, call: 1, sequence, crc, task: 0, attempt: 0, payload }
}

t.test('a part is on disk when its path is told, and goes with its upload', async (t) => {
  const { directory, uploads } = await openUploads(t)
  const part = uploads.open({ upload: UPLOAD, part: 0, bytes: 6 })
  part.push(frame('row', { last: false }))
  part.push(frame('s 1', { sequence: 1 }))
  t.equal(await readFile(await part.path, 'utf8'), 'rows 1')
  t.same(await readdir(join(directory, UPLOAD)), ['0.parquet'])
  await uploads.end(UPLOAD)
  t.same(await readdir(directory), [])
})

t.test('an upload that ends while its parts come leaves nothing behind', async (t) => {
  const { directory, uploads } = await openUploads(t)
  for (let round = 0; round < 50; round++) {
    const whole = uploads.open({ upload: UPLOAD, part: 0, bytes: 4 })
    whole.push(frame('rows'))
    const half = uploads.open({ upload: UPLOAD, part: 1, bytes: 8 })
    half.push(frame('rows', { last: false }))
    const other = uploads.open({ upload: 'statement-2', part: 0, bytes: 4 })
    const ends = Promise.allSettled([whole.path, half.path])
    await uploads.end(UPLOAD)
    t.notOk(existsSync(join(directory, UPLOAD)))
    t.match((await ends)[1], { status: 'rejected', reason: { error: 'protocol_violation' } })
    t.notOk(existsSync(join(directory, UPLOAD)), 'nor does a part come after')
    other.push(frame('else'))
    t.equal(await readFile(await other.path, 'utf8'), 'else', 'others go on')
  }
})

t.test('a part that is cut off while it is finished ends once', async (t) => {
  const { uploads } = await openUploads(t)
  const part = uploads.open({ upload: UPLOAD, part: 0, bytes: 4 })
  part.push(frame('rows'))
  part.end()
  t.equal(await readFile(await part.path, 'utf8'), 'rows')
})
