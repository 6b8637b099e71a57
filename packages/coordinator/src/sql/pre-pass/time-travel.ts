import { quoteIdentifier } from '../escape.ts'
import type { Token } from '../token.ts'
import { closingIndex, endsOperand, isSymbol, wordOf } from './edits.ts'
import type { Rule } from './rules.ts'

const UNITS: ReadonlyMap<string, 'TIMESTAMP' | 'VERSION'> = new Map([
  ['SYSTEM_TIME', 'TIMESTAMP'],
  ['TIMESTAMP', 'TIMESTAMP'],
  ['SYSTEM_VERSION', 'VERSION'],
  ['VERSION', 'VERSION'],
])

/**
 * `t FOR SYSTEM_TIME AS OF x [AS] a` is `t AS a AT (TIMESTAMP => x)`: DuckDB has the alias before it, everybody else
 * behind.
 */
export const rewriteAsOf: Rule = ({ tokens, edits }, i) => {
  if (wordOf(tokens[i]) !== 'FOR' || !endsOperand(tokens[i - 1])) return
  const unit = UNITS.get(wordOf(tokens[i + 1]) ?? '')
  if (unit === undefined || wordOf(tokens[i + 2]) !== 'AS' || wordOf(tokens[i + 3]) !== 'OF') return
  const end = expressionEnd(tokens, i + 4)
  if (end === undefined) return
  edits.replace(i, 'AT')
  edits.replace(i + 1, `(${unit}`)
  edits.replace(i + 2, '=>')
  edits.drop(i + 3)
  edits.after(end, ')')
  const alias = aliasAfter(tokens, end + 1)
  if (alias === undefined) return
  for (let k = end + 1; k <= alias.end; k++) edits.drop(k)
  const columns = alias.columns.map((token) => quoteIdentifier(token.value)).join(', ')
  const list = columns === '' ? '' : `(${columns})`
  edits.before(i, `AS ${quoteIdentifier(alias.name.value)}${list} `)
}

const INFIX = new Set(['+', '-', '*', '/', '%', '||'])
/** Types that stand before a text to make it a literal of theirs. */
const LITERAL_TYPES = new Set(['TIMESTAMP', 'TIMESTAMPTZ', 'DATE', 'TIME', 'DATETIME'])
const UNIT = /^(?:YEAR|QUARTER|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND|MILLISECOND|MICROSECOND|DECADE)S?$/

/** The last token of the expression that begins at `from`: operands with infix operators between them. */
function expressionEnd(tokens: readonly Token[], from: number): number | undefined {
  for (let at = from; ;) {
    const operand = operandEnd(tokens, at)
    if (operand === undefined) return undefined
    const end = postfixEnd(tokens, operand)
    const next = tokens[end + 1]
    if (next?.kind !== 'symbol' || !INFIX.has(next.value)) return end
    at = end + 2
  }
}

function operandEnd(tokens: readonly Token[], from: number): number | undefined {
  const token = tokens[from]
  if (token === undefined) return undefined
  if (isSymbol(token, '+') || isSymbol(token, '-')) return operandEnd(tokens, from + 1)
  if (isSymbol(token, '(')) return closing(tokens, from)
  if (token.kind === 'symbol' || token.kind === 'junk' || token.kind === 'hint') return undefined
  const word = wordOf(token)
  if (word !== undefined && LITERAL_TYPES.has(word) && tokens[from + 1]?.kind === 'string') {
    return from + 1
  }
  if (word === 'INTERVAL') {
    const amount = operandEnd(tokens, from + 1)
    if (amount === undefined) return undefined
    return UNIT.test(wordOf(tokens[amount + 1]) ?? '') ? amount + 1 : amount
  }
  if (token.kind !== 'word' && token.kind !== 'quoted') return from
  let end = from
  while (isSymbol(tokens[end + 1], '.') && tokens[end + 2] !== undefined) end += 2
  return isSymbol(tokens[end + 1], '(') ? closing(tokens, end + 1) : end
}

/** `::type` and AT TIME ZONE, as many as there are. */
function postfixEnd(tokens: readonly Token[], operand: number): number {
  let end = operand
  for (;;) {
    if (isSymbol(tokens[end + 1], '::')) {
      const type = operandEnd(tokens, end + 2)
      if (type === undefined) return end
      end = type
      continue
    }
    const words = [1, 2, 3].map((ahead) => wordOf(tokens[end + ahead])).join(' ')
    const zone = words === 'AT TIME ZONE' ? operandEnd(tokens, end + 4) : undefined
    if (zone === undefined) return end
    end = zone
  }
}

function closing(tokens: readonly Token[], open: number): number | undefined {
  const index = closingIndex(tokens, open)
  return index < 0 ? undefined : index
}

/** What may follow a table in FROM and is no alias of it. */
const AFTER_TABLE = new Set(
  (
    'SELECT FROM WHERE GROUP HAVING QUALIFY ORDER LIMIT OFFSET UNION EXCEPT INTERSECT MINUS ON USING AS FETCH ' +
    'WINDOW JOIN INNER LEFT RIGHT FULL CROSS NATURAL SEMI ANTI ASOF POSITIONAL OUTER TABLESAMPLE PIVOT UNPIVOT ' +
    'FOR AT WHEN THEN SET AND OR'
  ).split(' '),
)

function aliasAfter(
  tokens: readonly Token[],
  from: number,
): { readonly name: Token; readonly columns: readonly Token[]; readonly end: number } | undefined {
  const isExplicit = wordOf(tokens[from]) === 'AS'
  const at = isExplicit ? from + 1 : from
  const name = tokens[at]
  if (name?.kind !== 'word' && name?.kind !== 'quoted') return undefined
  if (!isExplicit && AFTER_TABLE.has(wordOf(name) ?? '')) return undefined
  if (!isSymbol(tokens[at + 1], '(')) return { name, columns: [], end: at }
  const end = closing(tokens, at + 1)
  if (end === undefined) return { name, columns: [], end: at }
  const inside = tokens.slice(at + 2, end)
  const columns = inside.filter((token) => token.kind === 'word' || token.kind === 'quoted')
  const isList = inside.every((token, k) =>
    k % 2 === 0 ? token.kind === 'word' || token.kind === 'quoted' : isSymbol(token, ','),
  )
  return isList ? { name, columns, end } : { name, columns: [], end: at }
}
