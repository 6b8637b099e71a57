import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { toWriteError } from './table-output.ts'

t.test('a write that is not allowed is told as that, and is not tried again', async (t) => {
  const directory = '/warehouse/shop/orders/data'
  const output = { kind: 'table', directory, name: 'a', fieldIds: '{}', fileBytesMax: 1 } as const
  const told = (message: string): SqlError =>
    toWriteError(new SqlError('io_error', message), output)
  const refused = [
    `cannot open file "${directory}/a.parquet": Permission denied`,
    `cannot open file "${directory}/a.parquet": Read-only file system`,
    `EROFS: read-only file system, mkdir '${directory}'`,
  ]
  for (const message of refused) {
    const error = told(message)
    t.match(error, { error: 'insufficient_privilege', hint: new RegExp(directory) }, message)
    t.equal(error.retryable, false)
  }
  // Of another directory it is this executor's own trouble.
  t.match(told('cannot open file "/spill/x": Permission denied'), { error: 'io_error' })
  t.match(told(`could not read from file "${directory}/a.parquet"`), { error: 'io_error' })
  const full = new SqlError('disk_full', refused[0] ?? '')
  t.equal(toWriteError(full, output), full)
  t.equal(toWriteError(full, { kind: 'result' } as never), full)
})
