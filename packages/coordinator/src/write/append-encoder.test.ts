import { systemClock as clock } from '@nyala/client/base'
import { ConstantKernel } from '@nyala/executor/kernel'
import { wasmMemory } from 'parquet-wasm/node'
import t from 'tap'
import type { IcebergField } from '../iceberg/types.ts'
import { AppendEncoder, ENCODED_COLUMNS_MAX, isEncodable } from './append-encoder.ts'

/** From here on V8 collects garbage at each step by which the memory grows. */
const EXTERNAL_BYTES_MAX = 64 * 1024 * 1024

const fieldsOf = (count: number): readonly IcebergField[] =>
  Array.from({ length: count }, (_, i) => ({
    ...{ id: i + 1, name: `c${i}`, required: false, type: 'string' },
  }))

t.test('the widest row that is written here leaves the memory of the writer small', async (t) => {
  const kernel = await ConstantKernel.open({ clock, memoryLimitBytes: EXTERNAL_BYTES_MAX })
  const fields = fieldsOf(ENCODED_COLUMNS_MAX)
  t.ok(isEncodable(fields))
  t.notOk(isEncodable(fieldsOf(ENCODED_COLUMNS_MAX + 1)), 'a wider one is for executors')
  const columns = fields.map(({ name }) => ({ name, type: 'VARCHAR' }))
  const row = `(${fields.map(({ name }) => `CAST('${name}' AS VARCHAR)`).join(', ')})`
  const statement = { rows: [row], timeZone: 'UTC' }
  const { facts } = await new AppendEncoder(kernel).encode(fields, columns, [statement])
  t.equal(facts.rows, 1)
  const { buffer } = wasmMemory() as unknown as { readonly buffer: ArrayBuffer }
  t.ok(buffer.byteLength < EXTERNAL_BYTES_MAX / 2, `${buffer.byteLength} bytes`)
  kernel.close()
})
