import { type Column, positionAt, SqlError } from '@nyala/client/protocol'
import { foldName, type TableRecord } from '@nyala/metastore'
import type { Expression } from '../sql/ir.ts'
import { visitTree } from '../sql/ir/tree.ts'
import { renderExpression } from '../sql/renderer.ts'
import type { MergeClause, MergeStatement } from '../sql/statement.ts'
import type { MergeSql } from './merge.ts'
import { checkFields } from './struct-fields.ts'

interface CheckedMerge {
  readonly table: TableRecord
  readonly text: string
  readonly sql: MergeSql
  /** The columns of a query of ours. */
  columnsOf(sql: string): Promise<readonly Column[]>
  /** The statement's own text, which fails with its places where its source or ON is wrong. */
  bindOwn(): Promise<unknown>
}

/**
 * Looks at the expressions of each WHEN clause as they stand, before anything is written around them. Fails with their
 * places: with `undefined_column` and its like where a clause names the side that its rows do not have, and with
 * `datatype_mismatch` where a value has a field that its column does not have.
 */
export async function checkMerge(statement: MergeStatement, merge: CheckedMerge): Promise<void> {
  for (const clause of statement.clauses) {
    const { condition, values, columns, match } = clause
    const expressions = [...values, ...(condition === undefined ? [] : [condition])].map((item) =>
      expressionAt(statement, item),
    )
    if (expressions.length === 0) continue
    const from = merge.sql.from(match)
    const found = await columnsOf(expressions, from, merge).catch(async (error: unknown) => {
      throw await placed(error, { expressions, clause, from }, merge)
    })
    for (const k of values.keys()) {
      const name = columns?.[k]?.name ?? merge.table.columns[k]?.name ?? ''
      const column = merge.table.columns.find((one) => foldName(one.name) === foldName(name))
      const position = positionAt(merge.text, columns?.[k]?.at ?? clause.at)
      if (column !== undefined) checkFields(column, found[k]?.type ?? '', { position })
    }
  }
}

function expressionAt({ query }: MergeStatement, item: number): Expression {
  const expression = query.kind === 'select' ? query.items[item]?.expression : undefined
  if (expression === undefined) throw new Error(`the query of MERGE has no item ${item}`)
  return expression
}

const columnsOf = (
  expressions: readonly Expression[],
  from: string,
  merge: CheckedMerge,
): Promise<readonly Column[]> =>
  merge.columnsOf(`SELECT ${expressions.map((one) => renderExpression(one)).join(', ')} ${from}`)

const SEEN: Readonly<Record<MergeClause['match'], string | undefined>> = {
  matched: undefined,
  notMatched: 'WHEN NOT MATCHED sees the columns of the source only',
  notMatchedBySource: 'WHEN NOT MATCHED BY SOURCE sees the columns of the target only',
}

/** The error of a clause with the place of the first name that is wrong by itself. */
async function placed(
  error: unknown,
  wrong: {
    readonly expressions: readonly Expression[]
    readonly clause: MergeClause
    readonly from: string
  },
  merge: CheckedMerge,
): Promise<unknown> {
  if (!(error instanceof SqlError) || !error.code.startsWith('42')) return error
  const rows = await failureOf(merge.columnsOf(`SELECT 1 ${wrong.from}`))
  const names = rows === undefined ? namesIn(wrong.expressions) : []
  for (const name of names) {
    const failure = await failureOf(columnsOf([name], wrong.from, merge))
    if (failure?.error !== error.error) continue
    const position = positionAt(merge.text, name.at ?? wrong.clause.at)
    const hint = SEEN[wrong.clause.match] ?? failure.hint
    return new SqlError(failure.error, failure.message, { position, hint, cause: error })
  }
  const own = await failureOf(merge.bindOwn())
  if (own?.error === error.error) return own
  const { message, hint } = error
  const position = positionAt(merge.text, wrong.clause.at)
  return new SqlError(error.error, message, { position, hint, cause: error })
}

/** Undefined where it does not fail, or not for what the statement says. */
const failureOf = (work: Promise<unknown>): Promise<SqlError | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof SqlError ? error : undefined),
  )

/** Names of columns, but for those that stand in subqueries, which may be of these. */
function namesIn(expressions: readonly Expression[]): readonly Expression[] {
  const names: Expression[] = []
  visitTree(expressions, (node) => {
    if (node.kind === 'column') names.push(node as Expression)
    return node.kind !== 'select' && node.kind !== 'lambda'
  })
  return names
}
