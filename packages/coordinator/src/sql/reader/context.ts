import { SqlError, positionAt } from '@nyala/client/protocol'
import type { Expression, Query, SelectItem } from '../ir.ts'

export type Raw = Readonly<Record<string, unknown>>

/** The keys an object may have; built once a class of node. */
export type KeySet = ReadonlySet<string>
export const keySet = (...keys: readonly string[]): KeySet => new Set(keys)

/** What the reader needs to know of the text that was parsed, to report in terms of the user's. */
export interface SourceText {
  /** The whole text the user sent. */
  readonly text: string
  /** From a byte offset in the text DuckDB parsed to an offset in `text`. */
  readonly toUser: (byteOffset: number) => number
  /** From a code point offset in it: the places of errors are counted in another unit than those of nodes. */
  readonly errorToUser: (codePointOffset: number) => number
}

/** The two recursions of the grammar, so that the files of one family need not import each other. */
export interface Readers {
  readonly expression: (context: ReadContext, raw: Raw) => Expression
  readonly statement: (context: ReadContext, raw: Raw) => Query
}

/** DuckDB's mark for "place unknown" is 2^64 - 1, which JSON.parse rounds up. */
const UNKNOWN_PLACE = 2 ** 53

/**
 * What every reader of a node needs: where the node stands in the user's text, and accessors that
 * refuse whatever they do not know. Nothing in the JSON is ever ignored: a key that is not listed ends
 * the statement, so a newer parser cannot slip a meaning past the planner.
 */
export class ReadContext {
  readonly #source: SourceText
  readonly #readers: Readers

  constructor(source: SourceText, readers: Readers) {
    this.#source = source
    this.#readers = readers
  }

  /** The expression without its alias, which the caller has dealt with. */
  anyExpression(raw: Raw): Expression {
    return this.#readers.expression(this, raw)
  }

  /** An expression that must not carry an alias: everything but select items and named arguments. */
  expression(raw: Raw): Expression {
    const alias = this.string(raw, 'alias')
    if (alias !== '') this.refuse(`an alias ("${alias}") inside an expression`, this.at(raw))
    return this.anyExpression(raw)
  }

  /** The expression under `key`, which must be there. */
  child(raw: Raw, key: string): Expression {
    return this.expression(this.object(raw[key], key))
  }

  optional(value: unknown): Expression | undefined {
    return value === null ? undefined : this.expression(this.object(value, 'expression'))
  }

  expressions(raw: Raw, key: string): readonly Expression[] {
    return this.objects(raw, key).map((child) => this.expression(child))
  }

  /** An expression with the alias it may carry. */
  item(raw: Raw): SelectItem {
    const alias = this.optionalString(raw, 'alias')
    const expression = this.anyExpression(raw)
    return alias === undefined ? { expression } : { expression, alias }
  }

  /** The query of a statement, as of a subquery. */
  query(raw: Raw): Query {
    return this.#readers.statement(this, raw)
  }

  at(raw: Raw): number | undefined {
    const place = raw['query_location']
    if (typeof place !== 'number' || place >= UNKNOWN_PLACE) return undefined
    return this.#source.toUser(place)
  }

  /** The place of a word that the parser keeps none of, where the text has it once. */
  onlyPlaceOf(word: RegExp): number | undefined {
    const [first, second] = [...this.#source.text.matchAll(word)]
    return second === undefined ? first?.index : undefined
  }

  /** Ends the statement: the construct is valid SQL, but nothing here can plan it. */
  refuse(what: string, at: number | undefined, hint?: string): never {
    throw new SqlError('feature_not_supported', `${what} is not supported`, {
      position: at === undefined ? undefined : positionAt(this.#source.text, at),
      hint,
    })
  }

  /** Ends the statement: the parser said something that this version does not know. */
  unknown(what: string, raw?: Raw): never {
    const at = raw === undefined ? undefined : this.at(raw)
    throw new SqlError(
      'feature_not_supported',
      `the query uses a construct not known here: ${what}`,
      {
        position: at === undefined ? undefined : positionAt(this.#source.text, at),
      },
    )
  }

  checkKeys(raw: Raw, keys: KeySet, what: string): void {
    for (const key in raw) if (!keys.has(key)) this.unknown(`${what}.${key}`, raw)
  }

  object(value: unknown, what: string): Raw {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Raw
    return this.unknown(`${what} is not an object`)
  }

  list(raw: Raw, key: string): readonly unknown[] {
    const value = raw[key]
    return Array.isArray(value) ? value : this.unknown(`${key} is not a list`, raw)
  }

  objects(raw: Raw, key: string): readonly Raw[] {
    return this.list(raw, key).map((value) => this.object(value, key))
  }

  strings(raw: Raw, key: string): readonly string[] {
    return this.list(raw, key).map((value) =>
      typeof value === 'string' ? value : this.unknown(`${key} is not a list of texts`, raw),
    )
  }

  string(raw: Raw, key: string): string {
    const value = raw[key]
    return typeof value === 'string' ? value : this.unknown(`${key} is not a text`, raw)
  }

  /** An empty text is DuckDB's way to say "none". */
  optionalString(raw: Raw, key: string): string | undefined {
    const value = this.string(raw, key)
    return value === '' ? undefined : value
  }

  boolean(raw: Raw, key: string): boolean {
    const value = raw[key]
    return typeof value === 'boolean' ? value : this.unknown(`${key} is not a boolean`, raw)
  }

  number(raw: Raw, key: string): number {
    const value = raw[key]
    return typeof value === 'number' ? value : this.unknown(`${key} is not a number`, raw)
  }

  /** The value of `key` in a table of known values. */
  oneOf<T>(raw: Raw, key: string, known: ReadonlyMap<string, T>): T {
    const value = this.string(raw, key)
    return known.get(value) ?? this.unknown(`${key} ${value}`, raw)
  }
}

/** `{ at }` or nothing, so that nodes without a place stay equal and small. */
export const placed = (at: number | undefined): { readonly at?: number } =>
  at === undefined ? {} : { at }
