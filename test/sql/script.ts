/**
 * A suite of SQL statements with what they must answer, as text. Records are divided by empty lines; `#` begins a
 * comment line.
 *
 *   statement ok                          the statement succeeds
 *   statement ok CREATE TABLE             … and its command is this
 *   statement notice <regular expression> … and says this
 *   statement error <SQLSTATE> <regular expression over message, hint and place>
 *   query <types> [nosort|rowsort|contains] [names]
 *   <statement>
 *   ----
 *   <rows: values divided by ` | `>
 *
 *   parameters [1, "a", null, {"type": "DECIMAL(9,2)", "value": "1.50"}]    for the next statement
 *   coordinator 2                         the session goes on at that coordinator
 *   session other                         another session, which begins in the database of the suite
 *
 * Types are those of the columns: I whole number, D decimal, R floating point, T text, B boolean, A date, S time stamp,
 * X any other. `nosort` compares rows in order, `rowsort` in no order, `contains` asks that the lines stand in the
 * answer in this order, perhaps with others between them. `names` compares the names of the columns as a first row.
 * `${data}` is the directory of the data.
 */
export type Suite = readonly Record[]

export type Record = StatementRecord | QueryRecord | DirectiveRecord

interface Lines {
  /** Index of the first line, from 0, and of the line after the last. */
  readonly first: number
  readonly end: number
}

export interface StatementRecord extends Lines {
  readonly kind: 'statement'
  readonly sql: string
  readonly expect:
    | { readonly kind: 'ok'; readonly command: string | undefined }
    | { readonly kind: 'notice'; readonly pattern: RegExp }
    | { readonly kind: 'error'; readonly code: string; readonly pattern: RegExp }
}

export interface QueryRecord extends Lines {
  readonly kind: 'query'
  readonly sql: string
  readonly types: string
  readonly order: 'nosort' | 'rowsort' | 'contains'
  readonly names: boolean
  readonly rows: readonly string[]
}

export interface DirectiveRecord extends Lines {
  readonly kind: 'coordinator' | 'session' | 'parameters'
  readonly value: string
}

/** Fails with a sentence that names the line. */
export function parseSuite(text: string): Suite {
  const lines = text.split('\n')
  const records: Record[] = []
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? ''
    if (line.trim() === '' || line.startsWith('#')) {
      at++
      continue
    }
    let end = at + 1
    while (end < lines.length && lines[end] !== '') end++
    records.push(parseRecord(lines.slice(at, end), { first: at, end }))
    at = end
  }
  return records
}

function parseRecord(lines: readonly string[], place: Lines): Record {
  const [head = '', ...body] = lines
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(head) ?? []
  switch (word) {
    case 'coordinator':
    case 'session':
    case 'parameters':
      if (body.length > 0) throw malformed(place, `"${word}" stands alone`)
      return { kind: word, value: rest, ...place }
    case 'statement':
      return { kind: 'statement', sql: body.join('\n'), expect: expectation(rest, place), ...place }
    case 'query':
      return parseQuery(rest, body, place)
    default:
      throw malformed(place, `"${word}" begins no record`)
  }
}

function expectation(text: string, place: Lines): StatementRecord['expect'] {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(text) ?? []
  if (word === 'ok') return { kind: 'ok', command: rest === '' ? undefined : rest }
  if (word === 'notice') return { kind: 'notice', pattern: new RegExp(rest, 's') }
  const [, code = '', pattern = ''] = /^(\S+)\s+(.+)$/.exec(rest) ?? []
  if (word !== 'error' || !/^[0-9A-Z]{5}$/.test(code)) {
    throw malformed(place, 'expected ok, notice or error with SQLSTATE and pattern')
  }
  return { kind: 'error', code, pattern: new RegExp(pattern, 's') }
}

function parseQuery(text: string, body: readonly string[], place: Lines): QueryRecord {
  const [types = '', ...words] = text.split(/\s+/)
  if (!/^[IDRTBASX]+$/.test(types)) throw malformed(place, `"${types}" are no types`)
  const order = words.find((w) => w !== 'names') ?? 'nosort'
  if (order !== 'nosort' && order !== 'rowsort' && order !== 'contains') {
    throw malformed(place, `"${order}" is no order`)
  }
  const bar = body.indexOf('----')
  if (bar < 0) throw malformed(place, 'a query has its rows after ----')
  return {
    kind: 'query',
    sql: body.slice(0, bar).join('\n'),
    types,
    order,
    names: words.includes('names'),
    rows: body.slice(bar + 1),
    ...place,
  }
}

const malformed = (place: Lines, what: string): Error =>
  new Error(`line ${place.first + 1}: ${what}`)

/** The text with other rows for some of its queries. */
export function withRows(
  text: string,
  changes: ReadonlyMap<QueryRecord, readonly string[]>,
): string {
  const lines = text.split('\n')
  const inReverse = [...changes].toSorted(([a], [b]) => b.first - a.first)
  for (const [record, rows] of inReverse) {
    const bar = lines.indexOf('----', record.first)
    lines.splice(bar + 1, record.end - bar - 1, ...rows)
  }
  return lines.join('\n')
}
