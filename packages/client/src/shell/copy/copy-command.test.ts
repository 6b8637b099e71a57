import t from 'tap'
import { isCopyCommand, parseCopy } from './copy-command.ts'

const CSV = { header: 'no', delimiter: ',', nullText: '' }

t.test('a copy is read as psql reads it', async (t) => {
  t.match(parseCopy("\\copy people from '/tmp/it''s.csv' csv header;"), {
    ...{ kind: 'from', table: ['people'], columns: undefined, file: "/tmp/it's.csv" },
    ...{ format: 'csv', csv: { ...CSV, header: 'yes' } },
  })
  t.match(parseCopy('\\copy shop."My ""T""" ( a, "B c" ) FROM data.json'), {
    ...{ table: ['shop', 'My "T"'], columns: ['a', 'B c'], file: 'data.json', format: 'json' },
  })
  const options = "(FORMAT csv, HEADER false, DELIMITER E'\\t', NULL 'NULL', ENCODING 'utf8')"
  t.match(parseCopy(`\\copy t from stdin with ${options}`), {
    ...{ file: undefined, format: 'csv', csv: { header: 'no', delimiter: '\t', nullText: 'NULL' } },
  })
  t.match(parseCopy("\\copy (select ')' as \"(\", (1) from t) to 'a.parquet'"), {
    ...{ kind: 'to', sql: 'select \')\' as "(", (1) from t', format: 'parquet' },
  })
  t.match(parseCopy('\\copy db.t(a, "b c") to stdout csv delimiter as |'), {
    ...{ sql: 'SELECT a, "b c" FROM db.t', file: undefined, csv: { delimiter: '|' } },
  })
  t.match(parseCopy("\\copy t from 'stdin' csv"), { file: 'stdin' })
  t.match(parseCopy('\\copy t from x.tsv'), { format: 'csv', csv: { delimiter: '\t' } })
  t.match(parseCopy('\\copy t from x.csv header match'), { csv: { header: 'match' } })
  t.ok(isCopyCommand('  \\copy t'))
  t.notOk(isCopyCommand('\\copying'))
})

t.test('what is wrong with a copy is said, and nothing is guessed', async (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['\\copy', /a table is missing/],
    ['\\copy t', /FROM or TO/],
    ['\\copy t from', /a file or STDIN is missing/],
    ['\\copy t from x', /what is in the file/],
    ['\\copy (select 1) from x.csv', /a query is for TO/],
    ['\\copy (select 1 to x.csv', /no closing parenthesis/],
    ['\\copy t (a, b from x.csv', /list of columns/],
    ['\\copy t from x.csv quick', /option QUICK is not known/],
    ['\\copy t from x.csv delimiter "', /cannot be read/],
    ["\\copy t from x.csv delimiter 'ab'", /one character/],
    ['\\copy t from x.json header', /HEADER is for CSV/],
    ['\\copy t from x (format xml)', /format "xml"/],
    ['\\copy t from x.csv encoding latin1', /encoding "latin1"/],
  ]
  for (const [line, message] of wrong) {
    t.throws(() => parseCopy(line), { error: 'syntax_error', message }, line)
  }
})
