import { SqlError } from '../../protocol/errors.ts'

export type CopyFormat = 'csv' | 'json' | 'jsonl' | 'parquet'

export interface CsvOptions {
  /** `match`: the names in the first line are compared with the columns; of `to` the same as `yes`. */
  readonly header: 'no' | 'yes' | 'match'
  /** One character. */
  readonly delimiter: string
  /** What stands for NULL where it is not in quotes. */
  readonly nullText: string
}

/** What `\copy` is to do. */
export type CopyCommand = {
  readonly format: CopyFormat
  readonly csv: CsvOptions
  /** Undefined: standard input or output. */
  readonly file: string | undefined
} & (
  | {
      readonly kind: 'from'
      /** The name's parts: database, if said, and table. */
      readonly table: readonly string[]
      readonly columns: readonly string[] | undefined
    }
  | { readonly kind: 'to'; readonly sql: string }
)

const USAGE =
  "write \\copy TABLE [(COLUMN, …)] FROM 'FILE' [CSV [HEADER]], or \\copy TABLE | (QUERY) TO 'FILE' [CSV [HEADER]]"

const FORMAT_OF_ENDING: Readonly<Record<string, CopyFormat>> = {
  csv: 'csv',
  tsv: 'csv',
  json: 'json',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  parquet: 'parquet',
}
const FORMATS: ReadonlySet<string> = new Set(['csv', 'json', 'jsonl', 'parquet'])

/** Whether a line is this command, as far as its first word says. */
export const isCopyCommand = (line: string): boolean => /^\s*\\copy\b/.test(line)

/** Reads the whole line. Pure. Fails with `syntax_error`. */
export function parseCopy(line: string): CopyCommand {
  const text = line
    .trim()
    .replace(/^\\copy\b/, '')
    .replace(/;\s*$/, '')
  const { query, rest } = splitQuery(text)
  const tokens = new Tokens(rest)
  const name = query === undefined ? tokens.take('a table') : undefined
  const columns = name === undefined ? undefined : tokens.list()
  const direction = tokens.word()
  if (direction !== 'FROM' && direction !== 'TO') throw wrong('FROM or TO is missing')
  if (query !== undefined && direction === 'FROM') throw wrong('a query is for TO')
  const target = tokens.take(direction === 'FROM' ? 'a file or STDIN' : 'a file or STDOUT')
  const stream = direction === 'FROM' ? /^p?stdin$/i : /^p?stdout$/i
  const file = !target.isQuoted && stream.test(target.text) ? undefined : target.text
  const how = { ...readOptions(tokens, file), file }
  if (direction === 'FROM') {
    const table = partsOf(name?.text ?? '')
    return {
      kind: 'from',
      ...how,
      table,
      columns: columns?.map((column) => partsOf(column)[0] ?? ''),
    }
  }
  const list = columns === undefined ? '*' : columns.join(', ')
  return { kind: 'to', ...how, sql: query ?? `SELECT ${list} FROM ${name?.text}` }
}

function readOptions(
  tokens: Tokens,
  file: string | undefined,
): { readonly format: CopyFormat; readonly csv: CsvOptions } {
  const ending = /\.([a-z]+)$/i.exec(file ?? '')?.[1]?.toLowerCase() ?? ''
  let format = FORMAT_OF_ENDING[ending]
  let delimiter = ending === 'tsv' ? '\t' : ','
  let nullText = ''
  let header: CsvOptions['header'] = 'no'
  let csvOnly: string | undefined
  for (let word = tokens.option(); word !== undefined; word = tokens.option()) {
    if (word === 'FORMAT') format = formatOf(tokens.take('a format').text)
    else if (FORMATS.has(word.toLowerCase())) format = formatOf(word)
    else if (word === 'ENCODING') checkEncoding(tokens.take('an encoding').text)
    else if (word === 'HEADER') [csvOnly, header] = [word, tokens.header()]
    else if (word === 'DELIMITER') [csvOnly, delimiter] = [word, delimiterOf(tokens.value())]
    else if (word === 'NULL') [csvOnly, nullText] = [word, tokens.value()]
    else
      throw wrong(
        `the option ${word} is not known`,
        'CSV, JSON, JSONL, PARQUET, HEADER, DELIMITER, NULL and ENCODING are',
      )
  }
  if (format === undefined) {
    throw wrong(
      'it is not said what is in the file',
      'say CSV, JSON, JSONL or PARQUET, or name it by its ending',
    )
  }
  if (csvOnly !== undefined && format !== 'csv') throw wrong(`${csvOnly} is for CSV only`)
  return { format, csv: { header, delimiter, nullText } }
}

function formatOf(word: string): CopyFormat {
  const format = word.toLowerCase()
  if (FORMATS.has(format)) return format as CopyFormat
  throw wrong(`the format "${word}" is not known`, 'csv, json, jsonl and parquet are')
}

function delimiterOf(text: string): string {
  const delimiter = text === '\\t' ? '\t' : text
  if (delimiter.length === 1 && !/["\r\n]/.test(delimiter)) return delimiter
  throw wrong('DELIMITER takes one character, and no quote or line end')
}

function checkEncoding(name: string): void {
  if (!/^utf-?8$/i.test(name))
    throw wrong(`the encoding "${name}" is not supported`, 'files are UTF-8')
}

const wrong = (what: string, hint = USAGE): SqlError =>
  new SqlError('syntax_error', `\\copy: ${what}`, { hint })

/** A query in parentheses stands before everything else; parentheses in its texts and names are none. */
function splitQuery(text: string): { readonly query?: string; readonly rest: string } {
  const start = text.search(/\S/)
  if (text[start] !== '(') return { rest: text }
  let depth = 0
  const mark = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]/g
  mark.lastIndex = start
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    if (found[0] === '(') depth++
    if (found[0] === ')' && --depth === 0) {
      return { query: text.slice(start + 1, found.index), rest: text.slice(mark.lastIndex) }
    }
  }
  throw wrong('the query has no closing parenthesis')
}

/** `a."b c"` in parts; quotes are for what stands between them. */
function partsOf(name: string): readonly string[] {
  const parts = name.match(/"(?:[^"]|"")*"|[^."]+/g) ?? []
  return parts.map((part) =>
    part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part,
  )
}

interface Token {
  readonly text: string
  readonly isQuoted: boolean
}

const TOKEN = /\s*(?:[eE]?'((?:[^']|'')*)'|([(),])|((?:"(?:[^"]|"")*"|[^\s,()'"])+))/y

class Tokens {
  readonly #tokens: Token[] = []
  #at = 0

  constructor(text: string) {
    TOKEN.lastIndex = 0
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const at = TOKEN.lastIndex
      const found = TOKEN.exec(text)
      if (found === null) throw wrong(`it cannot be read from "${text.slice(at).trim()}" on`)
      const [, quoted, symbol, word] = found
      this.#tokens.push({
        text: quoted?.replaceAll("''", "'") ?? symbol ?? word ?? '',
        isQuoted: quoted !== undefined,
      })
    }
  }

  take(what: string): Token {
    const token = this.#tokens[this.#at++]
    if (token === undefined || (!token.isQuoted && /^[(),]$/.test(token.text))) {
      throw wrong(`${what} is missing`)
    }
    return token
  }

  word(): string | undefined {
    const token = this.#tokens[this.#at++]
    return token?.isQuoted === false ? token.text.toUpperCase() : undefined
  }

  /** The value of an option, after a word that may be there. */
  value(): string {
    const token = this.take('a value')
    return token.isQuoted || token.text.toUpperCase() !== 'AS'
      ? token.text
      : this.take('a value').text
  }

  /** Names in parentheses. */
  list(): readonly string[] | undefined {
    if (!this.#is('(')) return undefined
    const names: string[] = []
    do {
      this.#at++
      names.push(this.take('a column').text)
    } while (this.#is(','))
    if (!this.#is(')')) throw wrong('the list of columns has no closing parenthesis')
    this.#at++
    return names
  }

  /** The next option; what only sets it off is passed over. */
  option(): string | undefined {
    while (['(', ')', ',', 'WITH'].some((text) => this.#is(text))) this.#at++
    if (this.#at >= this.#tokens.length) return undefined
    return this.word() ?? ''
  }

  header(): CsvOptions['header'] {
    const word = this.#tokens[this.#at]?.text.toUpperCase() ?? ''
    const value = (
      {
        TRUE: 'yes',
        ON: 'yes',
        '1': 'yes',
        FALSE: 'no',
        OFF: 'no',
        '0': 'no',
        MATCH: 'match',
      } as const
    )[word]
    if (value !== undefined) this.#at++
    return value ?? 'yes'
  }

  #is(text: string): boolean {
    const token = this.#tokens[this.#at]
    return token?.isQuoted === false && token.text.toUpperCase() === text
  }
}
