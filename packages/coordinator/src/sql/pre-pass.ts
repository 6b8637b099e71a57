import { junkError, syntaxError } from './errors.ts'
import { checkOperators } from './pre-pass/check-operators.ts'
import { Edits } from './pre-pass/edits.ts'
import { emit, type DuckdbText } from './pre-pass/emit.ts'
import {
  escapeLike,
  quoteDefault,
  rewriteDiv,
  rewriteImpalaSymbols,
  rewriteMinus,
  rewriteRegexp,
  rewriteSemiJoin,
  rewriteWithRollup,
  takeHintWords,
  wrapInterval,
  type Rewrite,
  type Rule,
} from './pre-pass/rules.ts'
import { rewriteAsOf } from './pre-pass/time-travel.ts'
import type { Dialect, StatementText, Token } from './token.ts'

/** An optimiser hint: advice that may be followed or not, never a change of meaning. */
export interface Hint {
  readonly text: string
  /** UTF-16 offset in the user's text. */
  readonly at: number
}

export interface PreparedText extends DuckdbText {
  readonly hints: readonly Hint[]
}

const RULES: readonly Rule[] = [
  quoteDefault,
  escapeLike,
  takeHintWords,
  rewriteSemiJoin,
  rewriteMinus,
  rewriteDiv,
  rewriteImpalaSymbols,
  rewriteRegexp,
  wrapInterval,
  rewriteWithRollup,
  rewriteAsOf,
]

/** Symbols that a rule begins with; all other rules begin with a word. */
const RULE_SYMBOLS = new Set(['[', '<=>', '&&', '!'])

/**
 * Turns the tokens of a query into text for DuckDB's parser. It is the one part of the front end that
 * no comparison guards, so every rule is a small edit of tokens with its own row in the test table.
 * Throws `feature_not_supported` for what the two dialects read differently.
 */
export function prepareText(
  statement: Pick<StatementText, 'script' | 'tokens'>,
  dialect: Dialect,
): PreparedText {
  const { script } = statement
  checkOperators(script, statement.tokens, dialect)
  checkTokens(script, statement.tokens)
  const hintTokens = statement.tokens.filter((token) => token.kind === 'hint')
  const tokens = statement.tokens.filter((token) => token.kind !== 'hint')
  const hints = hintTokens.map((token) => ({ text: token.value, at: token.start }))
  const rewrite: Rewrite = { script, tokens, dialect, edits: new Edits(), hints }
  for (const [i, token] of tokens.entries()) {
    if (token.word !== undefined || RULE_SYMBOLS.has(token.value)) {
      for (const rule of RULES) rule(rewrite, i)
    }
  }
  return { ...emit(script, tokens, rewrite.edits), hints }
}

/** No number runs into a word; `?`, `$1` and `$name` are three ways to number parameters; one statement uses one of them. */
function checkTokens(script: string, tokens: readonly Token[]): void {
  let first: string | undefined
  for (const token of tokens) {
    if (token.kind === 'junk') throw junkError(script, token)
    if (token.kind !== 'parameter') continue
    const way = token.value === '' ? '?' : /^\d/.test(token.value) ? '$1' : '$name'
    first ??= way
    if (way !== first) {
      throw syntaxError(
        script,
        token.start,
        `parameters of the forms ${first} and ${way} cannot be mixed in one statement`,
      )
    }
  }
}
