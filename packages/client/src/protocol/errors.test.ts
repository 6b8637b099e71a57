import t from 'tap'
import { ERRORS, type ErrorName, positionAt, SqlError } from './errors.ts'
import { fromErrorBody, toErrorBody } from './messages.ts'

const NAMES = Object.keys(ERRORS) as ErrorName[]

t.test('every error has a SQLSTATE of five characters', async (t) => {
  for (const name of NAMES) t.match(ERRORS[name][0], /^[0-9A-Z]{5}$/, name)
})

t.test('every error survives the wire with all that it says', async (t) => {
  for (const name of NAMES) {
    const error = new SqlError(name, `message of ${name}`, {
      detail: 'a detail',
      hint: 'a hint',
      position: { line: 2, column: 3, offset: 9 },
      queryId: 'q1',
      coordinator: 'c1',
    })
    const copy = fromErrorBody(JSON.parse(JSON.stringify(toErrorBody(error))))
    t.match(copy, {
      error: name,
      code: error.code,
      category: error.category,
      message: error.message,
      detail: 'a detail',
      hint: 'a hint',
      position: { line: 2, column: 3, offset: 9 },
      queryId: 'q1',
      coordinator: 'c1',
    })
  }
})

t.test('an error of a newer version is an internal error that keeps the name', async (t) => {
  const error = fromErrorBody({ error: 'from_the_future', message: 'what happened' })
  t.equal(error.error, 'internal_error')
  t.equal(error.message, 'what happened')
  t.match(error.detail, 'from_the_future')
})

t.test('only transient errors are retryable', async (t) => {
  for (const name of NAMES) {
    t.equal(new SqlError(name, 'x').retryable, ERRORS[name][1] === 'transient', name)
  }
})

t.test('what is not an SqlError goes on the wire as an internal error', async (t) => {
  t.strictSame(toErrorBody(new TypeError('a bug')), { error: 'internal_error', message: 'a bug' })
  t.strictSame(toErrorBody('text'), { error: 'internal_error', message: 'text' })
})

t.test('a position counts code points in its line and UTF-16 units in its offset', async (t) => {
  const text = 'select 1,\n  😀x from t'
  t.strictSame(positionAt(text, 0), { line: 1, column: 1, offset: 0 })
  t.strictSame(positionAt(text, 14), { line: 2, column: 4, offset: 14 })
  t.strictSame(positionAt(text, 10_000), { line: 2, column: 12, offset: text.length })
})
