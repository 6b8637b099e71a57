import { DecodeError } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import {
  decodeRecord,
  encodeRecord,
  memberRecord,
  RECORD_BYTES_MAX,
  relationRecord,
} from './records.ts'
import { memberRecordOf, tableOf, viewOf } from './testing/world.ts'

const made = { id: 'i', createdAt: 1, recentWrites: [] }

await t.test('records come back as they were written', async (t) => {
  const table = {
    ...tableOf('d', 't'),
    ...made,
    comment: 'ü',
    manifest: { path: '/m', crc32: 0xffffffff, bytes: 1, files: 2, rows: 3, dataBytes: 4 },
    statistics: { path: '/s', crc32: 0, bytes: 1, computedAt: 5 },
  }
  t.same(decodeRecord(relationRecord, encodeRecord(relationRecord, table), 'k'), table)
  const view = { ...viewOf('d', 'v'), ...made }
  t.same(decodeRecord(relationRecord, encodeRecord(relationRecord, view), 'k'), view)
  const member = memberRecordOf('c1')
  t.same(decodeRecord(memberRecord, encodeRecord(memberRecord, member), 'k'), member)
})

await t.test('a record that is not fully understood is refused, naming its key', async (t) => {
  const text = encodeRecord(memberRecord, memberRecordOf('c1'))
  const throwsNamingKey = (bad: string): void => {
    try {
      decodeRecord(memberRecord, bad, '/k')
      t.fail(`accepted ${bad}`)
    } catch (error) {
      t.ok(error instanceof DecodeError && error.message.startsWith('/k'), String(error))
    }
  }
  throwsNamingKey('')
  throwsNamingKey('{}')
  throwsNamingKey(text.replace('"format":1', '"format":2'))
  throwsNamingKey(text.replace('"pid":1', '"pid":1,"new":1'))
  throwsNamingKey(text.replace('"c1"', '"c/1"'))
  throwsNamingKey(text.replace('"coordinator"', '"other"'))
})

await t.test('a record that is too large for the store is refused with a hint', async (t) => {
  const view = { ...viewOf('d', 'v', 'x'.repeat(RECORD_BYTES_MAX)), ...made }
  try {
    encodeRecord(relationRecord, view)
    t.fail('encoded')
  } catch (error) {
    t.ok(error instanceof SqlError)
    t.match(error, { error: 'program_limit_exceeded' })
  }
})
