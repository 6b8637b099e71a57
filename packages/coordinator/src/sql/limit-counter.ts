import { SqlError, positionAt } from '@nyala/client/protocol'
import { syntaxError } from './errors.ts'
import type { SqlLimits } from './limits.ts'
import type { Token } from './token.ts'

/** A UTF-16 unit needs at most three bytes of UTF-8; so long texts are refused without counting. */
export function checkTextSize(text: string, limits: SqlLimits): void {
  const isSurelySmall = text.length * 3 <= limits.textBytesMax
  const bytes = isSurelySmall
    ? 0
    : text.length > limits.textBytesMax
      ? text.length
      : utf8Bytes(text)
  if (bytes > limits.textBytesMax) {
    throw new SqlError(
      'program_limit_exceeded',
      `the SQL text of ${bytes} bytes or more exceeds sql_text_bytes_max (${limits.textBytesMax})`,
      { hint: 'put long lists of values into a Parquet table and join it' },
    )
  }
  const bad = text.search(
    /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/,
  )
  if (bad >= 0) throw syntaxError(text, bad, 'invalid character in the SQL text')
}

const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length

const OPENING = new Set(['(', '[', '{'])
const CLOSING = new Set([')', ']', '}'])
const NEUTRAL = new Set([',', ';', '.'])

/** Words that make a tree deeper or a list of terms longer. */
const TERM_WORDS = new Set(
  'AND OR NOT UNION EXCEPT INTERSECT MINUS JOIN WITH SELECT WHEN IS IN LIKE ILIKE BETWEEN COLLATE'.split(
    ' ',
  ),
)

/** DuckDB needs quadratic time for chains of EXCEPT and INTERSECT, so these count for more. */
const SET_OPERATIONS: ReadonlyMap<string, number> = new Map([
  ['UNION', 1],
  ['EXCEPT', 4],
  ['INTERSECT', 4],
  ['MINUS', 4],
])

const TYPE_CONSTRUCTORS: ReadonlySet<string> = new Set(['ARRAY', 'MAP', 'STRUCT', 'ROW', 'UNION'])

/** Counts what a text costs while it is being lexed; one statement after the other. */
export class LimitCounter {
  readonly #text: string
  readonly #limits: SqlLimits
  #tokens = 0
  #terms = 0
  #depth = 0
  #cases = 0
  #setOperations = 0
  /** Levels of types such as `INTEGER[][]` and `ARRAY<ARRAY<…>>`, which readers descend into. */
  #typeLevels = 0
  #previous = ''

  constructor(text: string, limits: SqlLimits) {
    this.#text = text
    this.#limits = limits
  }

  count(token: Token): void {
    this.#tokens += 1
    if (this.#tokens > this.#limits.tokensMax) this.#refuseTokens(token)
    if (token.kind === 'symbol') this.#countSymbol(token)
    else if (token.word !== undefined) this.#countWord(token.word)
    if (token.kind === 'symbol') this.#countTypeLevel(token.value)
    this.#previous = token.word ?? token.value
    const deepest = Math.max(this.#depth + this.#cases, this.#typeLevels)
    if (deepest > this.#limits.nestingMax) this.#refuseNesting(token)
    if (this.#terms > this.#limits.expressionTermsMax) this.#refuseTerms(token)
    if (this.#setOperations > this.#limits.setOperationsMax) this.#refuseSetOperations(token)
  }

  #countSymbol({ value }: Token): void {
    if (OPENING.has(value)) {
      this.#depth += 1
      if (value === '[') this.#terms += 1
    } else if (CLOSING.has(value)) this.#depth = Math.max(0, this.#depth - 1)
    else if (value === ';') this.#reset()
    else if (!NEUTRAL.has(value)) this.#terms += 1
  }

  /** Repeated subscripts look alike and count too: a statement has use for few. */
  #countTypeLevel(symbol: string): void {
    const isLevel =
      (symbol === '[' && this.#previous === ']') ||
      (symbol.startsWith('<') && TYPE_CONSTRUCTORS.has(this.#previous.toUpperCase()))
    if (isLevel) this.#typeLevels += 1
  }

  #countWord(word: string): void {
    if (word === 'CASE') this.#cases += 1
    else if (word === 'END') this.#cases = Math.max(0, this.#cases - 1)
    else if (TERM_WORDS.has(word)) this.#terms += 1
    this.#setOperations += SET_OPERATIONS.get(word) ?? 0
  }

  /** A statement ends: depth and terms are counted for each. */
  #reset(): void {
    this.#terms = 0
    this.#depth = 0
    this.#cases = 0
    this.#setOperations = 0
    this.#typeLevels = 0
  }

  #refuseTokens(token: Token): never {
    throw new SqlError(
      'program_limit_exceeded',
      `the SQL text has more tokens than sql_tokens_max (${this.#limits.tokensMax})`,
      {
        position: positionAt(this.#text, token.start),
        hint: 'put long lists of values into a Parquet table and join it',
      },
    )
  }

  #refuseNesting(token: Token): never {
    throw new SqlError(
      'statement_too_complex',
      `the statement nests deeper than sql_nesting_max (${this.#limits.nestingMax})`,
      { position: positionAt(this.#text, token.start), hint: 'move inner queries into WITH' },
    )
  }

  #refuseTerms(token: Token): never {
    throw new SqlError(
      'statement_too_complex',
      `the statement has more operators than sql_expression_terms_max (${this.#limits.expressionTermsMax})`,
      {
        position: positionAt(this.#text, token.start),
        hint: 'use IN (…) or a join in place of long chains of OR',
      },
    )
  }

  #refuseSetOperations(token: Token): never {
    throw new SqlError(
      'statement_too_complex',
      `the statement has more set operations than sql_set_operations_max (${this.#limits.setOperationsMax})`,
      {
        position: positionAt(this.#text, token.start),
        hint: 'UNION counts one, EXCEPT and INTERSECT four; use a join or a partitioned table instead',
      },
    )
  }
}
