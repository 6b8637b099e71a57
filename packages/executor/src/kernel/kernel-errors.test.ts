import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { MORE_THAN_ONE_ROW, refusedValue } from '../protocol/refused-value.ts'
import { endsKernel, toSpillError, toSqlError } from './kernel-errors.ts'

const json = (type: string, message: string, more: object = {}): Error =>
  new Error(JSON.stringify({ exception_type: type, exception_message: message, ...more }))

t.test('each class of the kernel has a name of ours', async (t) => {
  const expected: readonly (readonly [Error, string])[] = [
    [
      json(
        'Out of Memory',
        'failed to allocate data of size 16.0 MiB (90 MiB/95 MiB used)\n\nPossible',
      ),
      'out_of_memory',
    ],
    [
      json('Out of Memory', 'failed to offload data block of size 256.0 KiB (19/19 MiB used)'),
      'disk_full',
    ],
    [json('IO', 'Could not write file "/spill/x": No space left on device'), 'disk_full'],
    [json('IO', 'No files found that match the pattern "/data/x.parquet"'), 'undefined_file'],
    [json('IO', 'Cannot open file "/data/x": Too many open files'), 'io_error'],
    [
      Object.assign(new Error('ENOTDIR: not a directory'), { code: 'ENOTDIR', syscall: 'mkdir' }),
      'io_error',
    ],
    [
      Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC', syscall: 'mkdir' }),
      'disk_full',
    ],
    [json('IO', 'Could not read from file "/data/x": Input/output error'), 'io_error'],
    [json('Invalid Input', "No magic bytes found at end of file '/data/x'"), 'data_corrupted'],
    [json('Invalid Input', "File '/data/x' too small to be a Parquet file"), 'data_corrupted'],
    [json('Invalid', "don't know what type: \u000f"), 'data_corrupted'],
    [
      json('Invalid Input', 'Malformed JSON at byte 1 of input: unexpected end of data.'),
      'data_exception',
    ],
    [json('Conversion', "Could not convert string 'x' to INT32"), 'invalid_text_representation'],
    [
      json('Conversion', 'date field value out of range: "2020-13-01"'),
      'invalid_text_representation',
    ],
    [
      json(
        'Conversion',
        "Type INT32 with value 300 can't be cast because the value is out of range",
      ),
      'numeric_value_out_of_range',
    ],
    [
      json('Conversion', 'Could not cast value 1e40 to DECIMAL(38,0)'),
      'numeric_value_out_of_range',
    ],
    [
      json('Out of Range', 'Overflow in addition of INT64 (9223372036854775807 + 1)!'),
      'numeric_value_out_of_range',
    ],
    [json('Divide by Zero', 'Division by zero!'), 'division_by_zero'],
    [
      json('Binder', 'Referenced column "y" not found', { error_subtype: 'COLUMN_NOT_FOUND' }),
      'undefined_column',
    ],
    [
      json('Binder', 'No function matches', { error_subtype: 'NO_MATCHING_FUNCTION' }),
      'undefined_function',
    ],
    [json('Binder', 'Ambiguous reference to column name "x"'), 'ambiguous_column'],
    [json('Binder', 'column j must appear in the GROUP BY clause'), 'grouping_error'],
    [json('Catalog', 'Table with name t does not exist!'), 'undefined_table'],
    [json('Catalog', 'Scalar Function with name f does not exist!'), 'undefined_function'],
    [json('Parser', 'syntax error at or near "frm"'), 'syntax_error'],
    [json('Permission', 'Cannot access file "/etc/passwd"'), 'insufficient_privilege'],
    [json('INTERRUPT', 'Interrupted!'), 'query_canceled'],
    [json('Not implemented', 'not yet'), 'feature_not_supported'],
    [json('INTERNAL', 'Assertion triggered'), 'internal_error'],
    [json('FATAL', 'database has been invalidated'), 'kernel_crashed'],
    [new Error('something that is no error of the kernel'), 'internal_error'],
  ]
  for (const [error, name] of expected) t.equal(toSqlError(error).error, name, error.message)
})

t.test('the plain form of a kernel in the same process is understood too', async (t) => {
  const error = toSqlError(
    new Error("Conversion Error: Could not convert string 'x' to INT32\nLINE 1: SELECT"),
  )
  t.match(error, {
    error: 'invalid_text_representation',
    message: "could not convert string 'x' to INT32",
  })
  t.match(toSqlError(new Error('INTERRUPT Error: Interrupted!')), { error: 'query_canceled' })
})

t.test('a message is one line in lower case, the rest its detail, and acronyms stay', async (t) => {
  const error = toSqlError(
    json('Binder', 'Referenced column "y" not found!\nCandidate bindings: "x"'),
  )
  t.equal(error.message, 'referenced column "y" not found!')
  t.equal(error.detail, 'Candidate bindings: "x"')
  t.equal(toSqlError(json('Binder', 'WHERE clause cannot')).message, 'WHERE clause cannot')
})

t.test('the advice for memory is ours, not that of the kernel', async (t) => {
  const error = toSqlError(json('Out of Memory', 'failed\n\nPossible solutions:\n* SET threads=X'))
  t.match(error.hint, /SET mem_limit/)
  t.equal(error.detail, undefined)
})

t.test('an error that is ours already is passed on as it is', async (t) => {
  const own = new SqlError('query_canceled', 'the task was canceled')
  t.equal(toSqlError(own), own)
})

t.test('only a fatal error ends the kernel', async (t) => {
  t.ok(endsKernel(json('FATAL', 'database has been invalidated')))
  t.notOk(endsKernel(json('Out of Memory', 'failed')))
  t.notOk(endsKernel(new SqlError('kernel_crashed', 'x')))
})

t.test(
  'what is wrong with the directory to spill to is the fault of no file of the query',
  async (t) => {
    const spill = '/data/spill/e1/kernel-0'
    const gone = toSqlError(
      new Error(
        `IO Error: Failed to create directory "${spill}/task-5": No such file or directory`,
      ),
    )
    t.equal(gone.error, 'undefined_file')
    t.match(toSpillError(gone, spill), { error: 'io_error', retryable: true, message: spill })
    const full = toSqlError(
      new Error(`IO Error: Could not write file "${spill}/task-5/x.tmp": No space left on device`),
    )
    t.match(toSpillError(full, spill), { error: 'disk_full', message: spill })
    const other = toSqlError(
      new Error('IO Error: No files found that match "/data/orders/*.parquet"'),
    )
    t.equal(toSpillError(other, spill), other)
  },
)

t.test(
  'a scalar subquery of several rows is told without the settings of the kernel',
  async (t) => {
    const text = `${MORE_THAN_ONE_ROW} - scalar subqueries can only return a single row.\n\nUse "SET x=false" …`
    t.match(toSqlError(json('Invalid Input', text)), {
      code: '21000',
      message: /^more than one row returned by a subquery used as an expression$/,
      hint: /LIMIT 1/,
      detail: undefined,
    })
  },
)

t.test('advice on a full disk is of what is full', async (t) => {
  const limit = json('Out of Memory', 'failed to offload data block of size 256.0 KiB')
  t.match(toSqlError(limit), { error: 'disk_full', hint: '--spill-limit' })
  const disk = json('IO', 'Could not write file "/data/x": No space left on device')
  t.match(toSqlError(disk), { error: 'disk_full', hint: /^make room on the disk/ })
})

t.test(
  'a value that a statement refuses is told as the error that the statement names',
  async (t) => {
    const text = `${refusedValue('not_null_violation')}column "a" must not be NULL`
    t.match(toSqlError(json('Invalid Input', text)), {
      code: '23502',
      message: /^column "a" must not be NULL$/,
      detail: undefined,
    })
    for (const other of ['nyala nothing: x', `so ${text}`, 'nyala constructor: x']) {
      t.match(toSqlError(json('Invalid Input', other)), { error: 'data_exception', message: other })
    }
  },
)
