import type { Token } from '../token.ts'

/** What replaces one token: texts around it, and another text in its place (empty to drop it). */
export interface Edit {
  readonly before: string
  readonly replacement: string | undefined
  readonly after: string
}

const NO_EDIT: Edit = { before: '', replacement: undefined, after: '' }

/** Rewrites by token index; each rule adds its own and none sees those of the others. */
export class Edits {
  readonly #edits = new Map<number, Edit>()

  at(index: number): Edit {
    return this.#edits.get(index) ?? NO_EDIT
  }

  replace(index: number, text: string): void {
    this.#edits.set(index, { ...this.at(index), replacement: text })
  }

  drop(index: number): void {
    this.replace(index, '')
  }

  before(index: number, text: string): void {
    const edit = this.at(index)
    this.#edits.set(index, { ...edit, before: `${text}${edit.before}` })
  }

  after(index: number, text: string): void {
    const edit = this.at(index)
    this.#edits.set(index, { ...edit, after: `${edit.after}${text}` })
  }
}

export const wordOf = (token: Token | undefined): string | undefined => token?.word

export const isSymbol = (token: Token | undefined, symbol: string): boolean =>
  token?.kind === 'symbol' && token.value === symbol

/** True where an operand may end before an infix operator: a name, a literal, or a closing bracket. */
export const endsOperand = (token: Token | undefined): boolean =>
  isOperand(token, [')', ']', '}']) || token?.word === 'END'

/** True where an operand may begin after an infix operator. */
export const startsOperand = (token: Token | undefined): boolean =>
  isOperand(token, ['(', '-', '+'])

function isOperand(token: Token | undefined, symbols: readonly string[]): boolean {
  if (token === undefined || token.kind === 'hint') return false
  if (token.kind === 'symbol') return symbols.includes(token.value)
  return token.word === undefined || !CLAUSE_WORDS.has(token.word)
}

/** Keywords that are never a name and never an operand. */
export const CLAUSE_WORDS: ReadonlySet<string> = new Set(
  (
    'SELECT FROM WHERE GROUP HAVING QUALIFY ORDER LIMIT OFFSET UNION EXCEPT INTERSECT AND OR ON USING ' +
    'AS WHEN THEN ELSE END IN IS LIKE BETWEEN ASC DESC FETCH WINDOW DISTINCT ALL BY WITH INTO JOIN'
  ).split(' '),
)

/** Index of the bracket that closes the one at `open`, or -1. */
export function closingIndex(tokens: readonly Token[], open: number): number {
  let depth = 0
  for (let i = open; i < tokens.length; i++) {
    const token = tokens[i]
    if (token?.kind !== 'symbol') continue
    if ('([{'.includes(token.value)) depth += 1
    else if (')]}'.includes(token.value) && --depth === 0) return i
  }
  return -1
}
