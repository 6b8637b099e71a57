import { notSupported } from '../errors.ts'
import type { Token } from '../token.ts'

/** There are no defaults of columns: what has none is NULL. */
export const asNull = (token: Token): Token => ({
  ...token,
  kind: 'word',
  value: 'NULL',
  word: 'NULL',
})

/** Tokens that stand in no brackets, with their places among all. */
export function topLevel(tokens: readonly Token[]): readonly (readonly [number, Token])[] {
  let depth = 0
  return [...tokens.entries()].filter(([, token]) => {
    if (token.kind === 'symbol' && ')]}'.includes(token.value)) depth--
    const isTop = depth === 0
    if (token.kind === 'symbol' && '([{'.includes(token.value)) depth++
    return isTop
  })
}

/** `VALUES (1, DEFAULT)` with NULL for what is DEFAULT and nothing else. Pure. */
export function withDefaults(tokens: readonly Token[]): readonly Token[] {
  if (tokens[0]?.word !== 'VALUES') return tokens
  let depth = 0
  return tokens.map((token, i) => {
    if (token.kind === 'symbol' && '([{'.includes(token.value)) depth++
    if (token.kind === 'symbol' && ')]}'.includes(token.value)) depth--
    const isAlone = isCellBorder(tokens[i - 1]) && isCellBorder(tokens[i + 1])
    return token.word === 'DEFAULT' && depth === 1 && isAlone ? asNull(token) : token
  })
}

const isCellBorder = (token: Token | undefined): boolean =>
  token?.kind === 'symbol' && '(,)'.includes(token.value)

const NO_ROWS =
  'a statement tells how many rows it has changed; SELECT them in the same transaction, before or after'

/** Clauses that PostgreSQL has and that are none here, by the words that they begin with; with what to write instead. */
const CLAUSES = {
  RETURNING: ['RETURNING', NO_ROWS],
  'ON CONFLICT': [
    'ON CONFLICT',
    'write MERGE INTO t USING (…) s ON … WHEN NOT MATCHED THEN INSERT …',
  ],
  FROM: [
    'UPDATE … FROM',
    'write MERGE INTO t USING s ON … WHEN MATCHED THEN UPDATE SET …, or a = (SELECT …)',
  ],
  USING: [
    'DELETE … USING',
    'write MERGE INTO t USING s ON … WHEN MATCHED THEN DELETE, or WHERE EXISTS (SELECT …)',
  ],
} as const satisfies Readonly<Record<string, readonly [what: string, hint: string]>>

type Clause = keyof typeof CLAUSES

/** Fails with `feature_not_supported` at the first of the clauses that stands in no brackets. */
export function refuseClauses(
  script: string,
  tokens: readonly Token[],
  clauses: readonly Clause[],
): void {
  const top = topLevel(tokens).map(([, token]) => token)
  for (const [i, token] of top.entries()) {
    const found = clauses.find((clause) => isClause(clause, top, i))
    if (found === undefined) continue
    const [what, hint] = CLAUSES[found]
    throw notSupported(script, token.start, `${what} is not supported`, hint)
  }
}

function isClause(clause: Clause, tokens: readonly Token[], i: number): boolean {
  const [before, token, after] = [tokens[i - 1], tokens[i], tokens[i + 1]]
  // A name, which may be any word where it is told to be one.
  if (before?.word === 'AS' || (before?.kind === 'symbol' && before.value === '.')) return false
  switch (clause) {
    case 'RETURNING':
      return token?.word === 'RETURNING'
    case 'ON CONFLICT':
      // A join may be on a column of that name.
      return (
        token?.word === 'ON' &&
        after?.word === 'CONFLICT' &&
        tokens.slice(i).some(({ word }, k, rest) => word === 'DO' && isConflictAction(rest[k + 1]))
      )
    case 'FROM':
      return token?.word === 'FROM' && before?.word !== 'DISTINCT'
    case 'USING':
      return token?.word === 'USING' && !tokens.slice(0, i).some(({ word }) => word === 'WHERE')
  }
}

const isConflictAction = (token: Token | undefined): boolean =>
  token?.word === 'NOTHING' || token?.word === 'UPDATE'
