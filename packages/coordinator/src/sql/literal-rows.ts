import { quoteLiteral } from './escape.ts'
import { typeText } from './sql-types.ts'
import type { Token } from './token.ts'
import { parseType } from './type-text.ts'

/** What a literal is by itself, before the column that it is for says more. */
export type LiteralClass = 'null' | 'boolean' | 'integer' | 'decimal' | 'float' | 'text' | 'typed'

export interface Literal {
  readonly of: LiteralClass
  /** As SQL of the kernel, rendered from its token. */
  readonly sql: string
  readonly isNull: boolean
  /** The type of a typed one. */
  readonly type?: string
}

/** Longer lists are read as any other query is. */
const ROWS_MAX = 1_000
const INTEGER = /^\d{1,18}$/
const FLOAT = /^(?:\d{1,18}\.?\d{0,18}|\.\d{1,18})e[-+]?\d{1,3}$/i
const DECIMAL = /^(?:\d{1,18}\.\d{0,18}|\.\d{1,18})$/

/**
 * The rows of `VALUES (1, 'a'), (2, NULL)`: numbers, texts, booleans, NULL, and `CAST('…' AS type)`, which is what
 * parameters become. Undefined where the tokens are anything else, which is then for the query reader. Pure.
 *
 * A list of literals needs no reader: each of its tokens is a value of its own, and there is nothing to be misread.
 */
export function literalRowsOf(
  tokens: readonly Token[],
): readonly (readonly Literal[])[] | undefined {
  if (tokens[0]?.word !== 'VALUES') return undefined
  const reader = new LiteralReader(tokens)
  const rows: (readonly Literal[])[] = []
  do {
    const row = reader.row()
    if (row === undefined || row.length !== (rows[0] ?? row).length) return undefined
    rows.push(row)
    if (rows.length > ROWS_MAX) return undefined
  } while (reader.takeSymbol(','))
  return reader.isAtEnd ? rows : undefined
}

class LiteralReader {
  readonly #tokens: readonly Token[]
  #at = 1

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get isAtEnd(): boolean {
    return this.#at === this.#tokens.length
  }

  row(): readonly Literal[] | undefined {
    if (!this.takeSymbol('(')) return undefined
    const row: Literal[] = []
    do {
      const literal = this.#literal()
      if (literal === undefined) return undefined
      row.push(literal)
    } while (this.takeSymbol(','))
    return this.takeSymbol(')') ? row : undefined
  }

  takeSymbol(symbol: string): boolean {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'symbol' || token.value !== symbol) return false
    this.#at++
    return true
  }

  #literal(): Literal | undefined {
    if (this.takeSymbol('-')) {
      const number = this.#number()
      return number === undefined ? undefined : { ...number, sql: `-${number.sql}` }
    }
    const token = this.#tokens[this.#at]
    if (token?.kind === 'string') {
      this.#at++
      return { of: 'text', isNull: false, sql: quoteLiteral(token.value) }
    }
    if (token?.kind === 'number') return this.#number()
    switch (token?.word) {
      case 'NULL':
        this.#at++
        return { of: 'null', isNull: true, sql: 'NULL' }
      case 'TRUE':
      case 'FALSE':
        this.#at++
        return { of: 'boolean', isNull: false, sql: token.word }
      case 'CAST':
        return this.#cast()
      default:
        return undefined
    }
  }

  #number(): Literal | undefined {
    const token = this.#tokens[this.#at]
    if (token?.kind !== 'number') return undefined
    this.#at++
    if (INTEGER.test(token.value)) return { of: 'integer', isNull: false, sql: token.value }
    if (FLOAT.test(token.value)) return { of: 'float', isNull: false, sql: token.value }
    return DECIMAL.test(token.value)
      ? { of: 'decimal', isNull: false, sql: token.value }
      : undefined
  }

  /** `CAST('…' AS type)`. */
  #cast(): Literal | undefined {
    this.#at++
    if (!this.takeSymbol('(')) return undefined
    const value = this.#tokens[this.#at++]
    if (value?.kind !== 'string' && value?.word !== 'NULL') return undefined
    if (this.#tokens[this.#at++]?.word !== 'AS') return undefined
    const type: string[] = []
    for (let depth = 0; ; this.#at++) {
      const token = this.#tokens[this.#at]
      if (token === undefined) return undefined
      const isSymbol = token.kind === 'symbol'
      if (isSymbol && token.value === ')' && depth-- === 0) break
      if (isSymbol && token.value === '(') depth++
      else if (!isSymbol && token.kind !== 'word' && token.kind !== 'number') return undefined
      type.push(token.value)
    }
    this.#at++
    const text = textOfType(type)
    if (text === undefined) return undefined
    const isNull = value.kind !== 'string'
    const sql = isNull ? 'NULL' : quoteLiteral(value.value)
    return { of: 'typed', isNull, sql: `CAST(${sql} AS ${text})`, type: text }
  }
}

/** The type as the kernel names it; undefined where it is none that has no parts. */
function textOfType(words: readonly string[]): string | undefined {
  try {
    const type = parseType(words.join(' '))
    return type.kind === 'simple' || type.kind === 'decimal' ? typeText(type) : undefined
  } catch {
    return undefined
  }
}
