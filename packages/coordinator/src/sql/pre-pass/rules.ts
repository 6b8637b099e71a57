import { notSupported } from '../errors.ts'
import { quoteLiteral } from '../escape.ts'
import type { Dialect, Token } from '../token.ts'
import { closingIndex, endsOperand, isSymbol, startsOperand, wordOf, type Edits } from './edits.ts'

/** One statement on its way to DuckDB. */
export interface Rewrite {
  readonly script: string
  readonly tokens: readonly Token[]
  readonly dialect: Dialect
  readonly edits: Edits
  /** Words of the optimiser's hints found in the text, with their place. */
  readonly hints: { readonly text: string; readonly at: number }[]
}

/** A rule looks at the token at `index` and may add edits. */
export type Rule = (rewrite: Rewrite, index: number) => void

/** Impala's LIKE escapes with a backslash; DuckDB's has no escape unless it is named. A pattern that is no literal stays. */
export const escapeLike: Rule = ({ dialect, tokens, edits }, i) => {
  const word = wordOf(tokens[i])
  if (dialect !== 'impala' || (word !== 'LIKE' && word !== 'ILIKE')) return
  const pattern = tokens[i + 1]
  if (pattern?.kind !== 'string' || !pattern.value.includes('\\')) return
  if (wordOf(tokens[i + 2]) !== 'ESCAPE') edits.after(i + 1, " ESCAPE '\\'")
}

/** `DEFAULT.t`: Impala's first database has the name of a keyword. */
export const quoteDefault: Rule = ({ tokens, edits }, i) => {
  if (wordOf(tokens[i]) === 'DEFAULT' && isSymbol(tokens[i + 1], '.')) edits.replace(i, '"default"')
}

/** SELECT STRAIGHT_JOIN … and JOIN [SHUFFLE] …: hints that are no comments. */
export const takeHintWords: Rule = ({ tokens, edits, hints }, i) => {
  const word = wordOf(tokens[i])
  const previous = wordOf(tokens[i - 1])
  const at = tokens[i]?.start ?? 0
  const followsSelect = previous === 'SELECT' || previous === 'DISTINCT' || previous === 'ALL'
  const next = tokens[i + 1]
  if (word === 'STRAIGHT_JOIN' && followsSelect && (startsOperand(next) || isSymbol(next, '*'))) {
    hints.push({ text: 'STRAIGHT_JOIN', at })
    edits.drop(i)
  }
  const isBracket = isSymbol(tokens[i], '[') && isSymbol(tokens[i + 2], ']')
  const hint = wordOf(tokens[i + 1])
  if (isBracket && previous === 'JOIN' && (hint === 'SHUFFLE' || hint === 'BROADCAST')) {
    hints.push({ text: hint, at })
    for (const offset of [0, 1, 2]) edits.drop(i + offset)
  }
}

/** LEFT SEMI JOIN and LEFT ANTI JOIN are DuckDB's SEMI JOIN and ANTI JOIN. */
export const rewriteSemiJoin: Rule = ({ script, tokens, edits }, i) => {
  const kind = wordOf(tokens[i + 1])
  if ((kind !== 'SEMI' && kind !== 'ANTI') || wordOf(tokens[i + 2]) !== 'JOIN') return
  const side = wordOf(tokens[i])
  if (side === 'LEFT') edits.drop(i)
  else if (side === 'RIGHT') {
    throw notSupported(
      script,
      tokens[i]?.start ?? 0,
      `RIGHT ${kind} JOIN is not supported`,
      `swap the tables and write LEFT ${kind} JOIN`,
    )
  }
}

/** `query MINUS query` is EXCEPT. In `FROM t minus SELECT a` it is the alias of the table. */
export const rewriteMinus: Rule = ({ tokens, edits }, i) => {
  if (wordOf(tokens[i]) !== 'MINUS') return
  const next = wordOf(tokens[i + 1])
  const startsQuery =
    next === 'SELECT' || next === 'VALUES' || next === 'ALL' || next === 'DISTINCT'
  const opens = isSymbol(tokens[i + 1], '(') && isQueryWord(tokens[i + 2])
  if ((startsQuery || opens) && endsQuery(tokens, i - 1)) edits.replace(i, 'EXCEPT')
}

const isQueryWord = (token: Token | undefined): boolean =>
  /^(?:SELECT|WITH|VALUES|FROM)$/.test(wordOf(token) ?? '') || isSymbol(token, '(')

/** True when the token at `end` ends a query: in its parentheses, or with a SELECT or VALUES before it. */
function endsQuery(tokens: readonly Token[], end: number): boolean {
  let depth = 0
  for (let i = end; i >= 0; i--) {
    const token = tokens[i]
    if (token?.kind === 'symbol' && ')]}'.includes(token.value)) depth += 1
    else if (token?.kind === 'symbol' && '([{'.includes(token.value)) {
      depth -= 1
      if (depth < 0) return false
      const isWhole = depth === 0 && isSymbol(tokens[end], ')') && closingIndex(tokens, i) === end
      if (isWhole && isQueryWord(tokens[i + 1]) && !endsOperand(tokens[i - 1])) return true
    } else if (depth === 0 && /^(?:SELECT|VALUES)$/.test(wordOf(token) ?? '')) return true
  }
  return false
}

/** `a DIV b` is `a // b`. */
export const rewriteDiv: Rule = ({ tokens, edits }, i) => {
  const isInfix = endsOperand(tokens[i - 1]) && startsOperand(tokens[i + 1])
  if (wordOf(tokens[i]) === 'DIV' && isInfix && !isSymbol(tokens[i - 1], '.'))
    edits.replace(i, '//')
}

/** Impala's `<=>`, `&&` and `!`. */
export const rewriteImpalaSymbols: Rule = ({ dialect, tokens, edits }, i) => {
  if (dialect !== 'impala') return
  if (isSymbol(tokens[i], '<=>')) edits.replace(i, 'IS NOT DISTINCT FROM')
  if (isSymbol(tokens[i], '&&')) edits.replace(i, 'AND')
  if (isSymbol(tokens[i], '!') && !endsOperand(tokens[i - 1])) edits.replace(i, 'NOT')
}

const REGEXPS: ReadonlyMap<string, string> = new Map([
  ['RLIKE', ''],
  ['REGEXP', ''],
  ['IREGEXP', '(?i)'],
])

/** `a [NOT] RLIKE 'x'` finds `x` anywhere; DuckDB's `~` matches the whole text. */
export const rewriteRegexp: Rule = ({ script, tokens, edits }, i) => {
  const word = wordOf(tokens[i]) ?? ''
  const flags = REGEXPS.get(word)
  const isNegated = wordOf(tokens[i - 1]) === 'NOT'
  if (flags === undefined || !endsOperand(tokens[isNegated ? i - 2 : i - 1])) return
  const pattern = tokens[i + 1]
  if (pattern === undefined || !startsOperand(pattern)) return
  const continues = tokens[i + 2]
  const isWhole = !(
    continues?.kind === 'symbol' && ['||', '+', '::', '['].includes(continues.value)
  )
  if (pattern.kind !== 'string' || !isWhole) {
    throw notSupported(
      script,
      tokens[i]?.start ?? 0,
      `${word} takes a text literal as its pattern`,
      'write regexp_matches(text, pattern) for any other pattern',
    )
  }
  edits.replace(i, isNegated ? '!~' : '~')
  if (isNegated) edits.drop(i - 1)
  edits.replace(i + 1, quoteLiteral(`(?s:.*)${flags}(?:${pattern.value})(?s:.*)`))
}

const UNIT =
  /^(?:YEAR|QUARTER|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND|MILLISECOND|MICROSECOND|DECADE)S?$|^(?:CENTUR(?:Y|IES)|MILLENNI(?:UM|A))$/

/** `INTERVAL a + 1 DAY` needs parentheses for DuckDB, `INTERVAL 1.5 SECOND` too. */
export const wrapInterval: Rule = ({ tokens, edits }, i) => {
  if (wordOf(tokens[i]) !== 'INTERVAL' || isSymbol(tokens[i - 1], '.')) return
  // A type, as in `a::INTERVAL DAY`.
  if (isSymbol(tokens[i - 1], '::') || wordOf(tokens[i - 1]) === 'AS') return
  const unit = unitIndex(tokens, i + 1)
  if (unit === undefined) return
  const first = tokens[i + 1]
  const isSimple = unit === i + 2 && (first?.kind === 'string' || /^\d+$/.test(first?.value ?? ''))
  const isWrapped = isSymbol(first, '(') && closingIndex(tokens, i + 1) === unit - 1
  if (isSimple || isWrapped) return
  edits.before(i + 1, '(')
  edits.after(unit - 1, ')')
}

/** An interval whose unit is farther away is none; so a text of many INTERVALs takes linear time. */
const INTERVAL_TOKENS_MAX = 100

/** The unit that ends the interval starting at `from`, if it is reached before a clause or comma. */
function unitIndex(tokens: readonly Token[], from: number): number | undefined {
  for (let i = from; i < Math.min(tokens.length, from + INTERVAL_TOKENS_MAX); i++) {
    const token = tokens[i]
    if (token?.kind === 'symbol' && '([{'.includes(token.value)) {
      i = closingIndex(tokens, i)
      if (i < 0) return undefined
      continue
    }
    if (token?.kind === 'symbol' && /^[,;)\]}:]/.test(token.value)) return undefined
    const word = wordOf(token)
    if (word === undefined) continue
    if (word === 'INTERVAL') return undefined
    if (
      i > from &&
      UNIT.test(word) &&
      endsOperand(tokens[i - 1]) &&
      !isSymbol(tokens[i - 1], '.')
    ) {
      return i
    }
    if (!startsOperand(token)) return undefined
  }
  return undefined
}

/** `GROUP BY a, b WITH ROLLUP` is `GROUP BY ROLLUP (a, b)`. */
export const rewriteWithRollup: Rule = ({ tokens, edits }, i) => {
  const kind = wordOf(tokens[i + 1])
  if (wordOf(tokens[i]) !== 'WITH' || (kind !== 'ROLLUP' && kind !== 'CUBE')) return
  if (isSymbol(tokens[i + 2], '(') || !endsOperand(tokens[i - 1])) return
  const by = groupByIndex(tokens, i)
  if (by === undefined) return
  edits.after(by, ` ${kind} (`)
  edits.replace(i, ')')
  edits.drop(i + 1)
}

/** The BY of the GROUP BY that the token at `from` belongs to. */
function groupByIndex(tokens: readonly Token[], from: number): number | undefined {
  let depth = 0
  for (let i = from - 1; i > 0; i--) {
    const token = tokens[i]
    if (token?.kind === 'symbol' && ')]}'.includes(token.value)) depth += 1
    else if (token?.kind === 'symbol' && '([{'.includes(token.value) && --depth < 0)
      return undefined
    // A list of GROUP BY has no WITH; going on would make a text of many of them take quadratic time.
    else if (depth === 0 && wordOf(token) === 'WITH') return undefined
    else if (depth === 0 && wordOf(token) === 'BY' && wordOf(tokens[i - 1]) === 'GROUP') return i
  }
  return undefined
}
