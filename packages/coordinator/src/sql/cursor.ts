import { junkError, syntaxErrorAt } from './errors.ts'
import type { SqlError } from '@nyala/client/protocol'
import type { DatabaseName, ObjectName } from './statement.ts'
import type { StatementText, Token } from './token.ts'

/** A place in the tokens of one statement, moved forward by what it matches. Hints are not seen. */
export class Cursor {
  readonly script: string
  readonly #all: readonly Token[]
  readonly #tokens: readonly Token[]
  readonly #end: number
  #index = 0
  /** True between the two halves of a `>>`. */
  #halfAngle = false

  constructor(statement: StatementText) {
    this.script = statement.script
    this.#all = statement.tokens
    this.#tokens = statement.tokens.filter((token) => token.kind !== 'hint')
    this.#end = statement.end
  }

  peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#index + ahead]
  }

  /** Offset of the next token, or of the end of the statement. */
  get at(): number {
    return this.peek()?.start ?? this.#end
  }

  get isAtEnd(): boolean {
    return this.#index >= this.#tokens.length
  }

  /** The rest of the statement with its hints, from the next token on; the cursor moves to the end. */
  rest(): readonly Token[] {
    const from = this.at
    this.#index = this.#tokens.length
    return this.#all.filter((token) => token.start >= from)
  }

  next(): Token {
    const token = this.peek()
    if (token === undefined) throw this.error()
    this.#index += 1
    return token
  }

  /** `syntax error at or near` the next token, or at end of input. */
  error(hint?: string): SqlError {
    const token = this.peek()
    if (token?.kind === 'junk') return junkError(this.script, token)
    const near = token === undefined ? '' : this.script.slice(token.start, token.end)
    return syntaxErrorAt(this.script, this.at, near, hint)
  }

  /** The upper-case word at `ahead`, when it is unquoted. */
  word(ahead = 0): string | undefined {
    return this.peek(ahead)?.word
  }

  isWord(...words: readonly string[]): boolean {
    return words.every((word, i) => this.word(i) === word)
  }

  /** Takes the words, all or none of them. */
  takeWords(...words: readonly string[]): boolean {
    if (!this.isWord(...words)) return false
    this.#index += words.length
    return true
  }

  /** Takes one of the words. */
  takeOneOf<const W extends string>(...words: readonly W[]): W | undefined {
    const word = this.word()
    const found = words.find((w) => w === word)
    if (found !== undefined) this.#index += 1
    return found
  }

  expectWords(...words: readonly string[]): void {
    for (const word of words) {
      if (!this.takeWords(word)) throw this.error(`expected ${words.join(' ')}`)
    }
  }

  isSymbol(symbol: string, ahead = 0): boolean {
    const token = this.peek(ahead)
    return token?.kind === 'symbol' && token.value === symbol
  }

  takeSymbol(symbol: string): boolean {
    if (!this.isSymbol(symbol)) return false
    this.#index += 1
    return true
  }

  expectSymbol(symbol: string): void {
    if (!this.takeSymbol(symbol)) throw this.error(`expected "${symbol}"`)
  }

  /** The `>` of a nested type; `>>` is two of them, of which one is taken. */
  expectClosingAngle(): void {
    if (this.#halfAngle) this.#halfAngle = false
    else if (this.takeSymbol('>')) return
    else if (this.isSymbol('>>')) this.#halfAngle = true
    else throw this.error('expected ">"')
    if (!this.#halfAngle) this.expectSymbol('>>')
  }

  expectEnd(): void {
    if (!this.isAtEnd) throw this.error()
  }

  /** One name, quoted or not. */
  name(what: string): string {
    const token = this.peek()
    if (token?.kind !== 'word' && token?.kind !== 'quoted') throw this.error(`expected ${what}`)
    this.#index += 1
    return token.value
  }

  /** `table` or `database.table`. */
  objectName(what = 'a table name'): ObjectName {
    const at = this.at
    const first = this.name(what)
    if (!this.takeSymbol('.')) return { database: undefined, name: first, at }
    const name = this.name(what)
    if (this.isSymbol('.')) throw this.error('names have at most two parts: database.table')
    return { database: first, name, at }
  }

  databaseName(): DatabaseName {
    const at = this.at
    return { name: this.name('a database name'), at }
  }

  string(what: string): string {
    const token = this.peek()
    if (token?.kind !== 'string') throw this.error(`expected ${what} in quotes`)
    this.#index += 1
    return token.value
  }

  /** The whole number that comes next. */
  integer(what: string): number {
    const token = this.peek()
    if (token?.kind !== 'number' || !/^\d{1,9}$/.test(token.value))
      throw this.error(`expected ${what}`)
    this.#index += 1
    return Number(token.value)
  }

  /** `(item, item …)`, at least one. */
  list<T>(item: () => T): readonly T[] {
    this.expectSymbol('(')
    const items = [item()]
    while (this.takeSymbol(',')) items.push(item())
    this.expectSymbol(')')
    return items
  }
}
