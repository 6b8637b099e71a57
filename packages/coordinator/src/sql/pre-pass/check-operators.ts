import { notSupported } from '../errors.ts'
import type { Dialect, Token } from '../token.ts'
import { endsOperand, wordOf } from './edits.ts'

/**
 * Refuses what DuckDB and Impala read differently. DuckDB follows PostgreSQL: `^` is power, `a & b + c`
 * is `a & (b + c)`, `a || b = c` is `(a || b) = c`, `a = b LIKE c` is `a = (b LIKE c)`. Impala reads `^`
 * as exclusive or, binds `& |` tighter than `*`, `||` looser than OR, LIKE and IN looser than `=`.
 * In the Impala dialect such mixes need parentheses; a bare `^` is refused in both.
 */
export function checkOperators(script: string, tokens: readonly Token[], dialect: Dialect): void {
  const levels: Level[] = [newLevel()]
  for (const [i, token] of tokens.entries()) {
    if (token.kind === 'symbol' && token.value === '^') throw caret(script, token)
    if (dialect !== 'impala') continue
    const level = levels.at(-1) ?? newLevel()
    if (token.kind === 'symbol' && '([{'.includes(token.value)) levels.push(newLevel())
    else if (token.kind === 'symbol' && ')]}'.includes(token.value)) {
      if (levels.length > 1) levels.pop()
    } else countOperator(level, tokens, i)
    const mix = level.mix()
    if (mix !== undefined) {
      throw notSupported(
        script,
        token.start,
        `${mix} without parentheses is read differently by Impala and by this engine`,
        'put parentheses around the part that belongs together',
      )
    }
  }
}

const caret = (script: string, token: Token): Error =>
  notSupported(
    script,
    token.start,
    'the operator "^" is exclusive or to some engines and power to others',
    'write a ** b or power(a, b) for power, xor(a, b) for exclusive or',
  )

type Operator = 'arithmetic' | '&' | '|' | '||' | 'comparison' | '<=>' | 'match' | 'logic'

interface Level {
  /** Seen since the last comma or clause. */
  readonly expression: Set<Operator>
  /** Seen since the last AND, OR, NOT. */
  readonly term: Set<Operator>
  /** Seen since the last comparison. */
  readonly operand: Set<Operator>
  betweens: number
  mix(): string | undefined
}

function newLevel(): Level {
  const expression = new Set<Operator>()
  const term = new Set<Operator>()
  const operand = new Set<Operator>()
  return {
    expression,
    term,
    operand,
    betweens: 0,
    mix: () => {
      if (expression.has('||') && expression.size > 1) return 'a mix of "||" and other operators'
      if (operand.has('&') && operand.size > 1) return 'a mix of "&" and other operators'
      if (operand.has('|') && operand.size > 1) return 'a mix of "|" and other operators'
      if (term.has('<=>') && term.has('comparison')) return 'a mix of "<=>" and other comparisons'
      if ((term.has('comparison') || term.has('<=>')) && term.has('match')) {
        return 'a mix of a comparison and LIKE, IN or BETWEEN'
      }
      return undefined
    },
  }
}

const SYMBOLS: ReadonlyMap<string, Operator> = new Map([
  ...['+', '-', '*', '/', '%', '//', '<<', '>>'].map((s) => [s, 'arithmetic'] as const),
  ['&', '&'],
  ['|', '|'],
  ['||', '||'],
  ...['=', '==', '<', '<=', '>', '>=', '<>', '!='].map((s) => [s, 'comparison'] as const),
  ['<=>', '<=>'],
  ['&&', 'logic'],
])

const MATCH_WORDS = new Set(['LIKE', 'ILIKE', 'RLIKE', 'REGEXP', 'IREGEXP', 'IN', 'BETWEEN'])
/** Words that separate expressions; AND, OR and NOT are dealt with before. */
const SEPARATORS = new Set(
  (
    'SELECT FROM WHERE GROUP HAVING QUALIFY ORDER LIMIT OFFSET UNION EXCEPT INTERSECT MINUS ON USING AS ' +
    'WHEN THEN ELSE END CASE JOIN BY PARTITION ROWS RANGE OVER DISTINCT VALUES'
  ).split(' '),
)

function countOperator(level: Level, tokens: readonly Token[], i: number): void {
  const token = tokens[i]
  const word = wordOf(token)
  if (word === 'AND' && level.betweens > 0) {
    level.betweens -= 1
    level.operand.clear()
    return
  }
  if (word === 'AND' || word === 'OR' || word === 'NOT') {
    // NOT LIKE and NOT IN are one operator.
    if (word === 'NOT' && endsOperand(tokens[i - 1])) return
    level.expression.add('logic')
    level.term.clear()
    level.operand.clear()
    return
  }
  const isSeparator = word !== undefined && SEPARATORS.has(word)
  if (isSeparator || (token?.kind === 'symbol' && (token.value === ',' || token.value === ';'))) {
    level.expression.clear()
    level.term.clear()
    level.operand.clear()
    level.betweens = 0
    return
  }
  const operator = operatorAt(tokens, i, word)
  if (operator === undefined) return
  if (word === 'BETWEEN') level.betweens += 1
  if (operator === 'comparison' || operator === '<=>' || operator === 'match') {
    level.operand.clear()
  } else level.operand.add(operator)
  level.term.add(operator)
  level.expression.add(operator)
}

function operatorAt(
  tokens: readonly Token[],
  i: number,
  word: string | undefined,
): Operator | undefined {
  const token = tokens[i]
  // A sign, or the star of SELECT * and count(*), is no infix operator.
  if (!endsOperand(tokens[i - 1]) && !isNegated(tokens, i)) return undefined
  if (word !== undefined) {
    if (MATCH_WORDS.has(word)) return 'match'
    return word === 'DIV' ? 'arithmetic' : undefined
  }
  return token?.kind === 'symbol' ? SYMBOLS.get(token.value) : undefined
}

const isNegated = (tokens: readonly Token[], i: number): boolean =>
  wordOf(tokens[i - 1]) === 'NOT' && endsOperand(tokens[i - 2])
