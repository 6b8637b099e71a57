/** What rules ask of expressions and do with them. Expressions are immutable, so answers are kept beside them. */
import { mapTree, visitTree } from '../../sql/ir/tree.ts'
import type { Comparison, ComparisonOperator, Constant, Expression } from '../../sql/ir.ts'
import { renderExpression } from '../../sql/renderer.ts'
import { simpleType } from '../../sql/sql-types.ts'

const boolean = (value: boolean | null): Constant => ({
  kind: 'constant',
  type: simpleType('BOOLEAN'),
  value,
})
export const TRUE: Constant = boolean(true)
export const FALSE: Constant = boolean(false)
export const UNKNOWN: Constant = boolean(null)

export const isTrue = (e: Expression): boolean => e.kind === 'constant' && e.value === true
/** FALSE or NULL: as a conjunct of a filter, nothing passes. */
export const isNeverTrue = (e: Expression): boolean =>
  e.kind === 'constant' && (e.value === false || e.value === null)

/** The name of a plain column. */
export const columnName = (e: Expression): string | undefined =>
  e.kind === 'column' ? e.path[0] : undefined

const names = new WeakMap<object, ReadonlySet<string>>()

/** The columns that an expression reads. */
export function columnNames(e: Expression): ReadonlySet<string> {
  const known = names.get(e)
  if (known !== undefined) return known
  const found = new Set<string>()
  // The parameters of a lambda are among them. Nothing that has a lambda is moved, so that they are too many harms nobody.
  visitTree(e, (node) => {
    if (node.kind !== 'column') return undefined
    const name = columnName(node as Expression)
    if (name !== undefined) found.add(name)
    return false
  })
  names.set(e, found)
  return found
}

export const readsOnly = (e: Expression, columns: ReadonlySet<string>): boolean => {
  for (const name of columnNames(e)) if (!columns.has(name)) return false
  return true
}

export const readsAny = (e: Expression, columns: ReadonlySet<string>): boolean => {
  for (const name of columnNames(e)) if (columns.has(name)) return true
  return false
}

const keys = new WeakMap<object, string>()

/** Equal for expressions that are written alike. */
export function keyOf(e: Expression): string {
  const known = keys.get(e)
  if (known !== undefined) return known
  const key = renderExpression(e)
  keys.set(e, key)
  return key
}

/** The same expression with columns exchanged for what `values` has for them. */
export function substitute<T extends Expression>(
  part: T,
  values: ReadonlyMap<string, Expression>,
): T {
  if (values.size === 0 || ![...columnNames(part)].some((name) => values.has(name))) return part
  return mapTree(part, (node) => {
    if (node.kind !== 'column') return undefined
    const name = columnName(node as Expression)
    return (name === undefined ? undefined : values.get(name)) ?? node
  })
}

/**
 * Expressions that may stand in place of columns, without those that would be read as something else there. The kernel
 * chooses a function by its arguments, and knows more of a literal than its type: so a constant keeps its type by a cast,
 * and NULL, which decides the type of what it stands in, is left out.
 */
export function asArguments(
  items: readonly { readonly column: { readonly name: string }; readonly expression: Expression }[],
): ReadonlyMap<string, Expression> {
  const values = new Map<string, Expression>()
  for (const { column, expression } of items) {
    if (expression.kind !== 'constant') values.set(column.name, expression)
    else if (expression.value !== null) values.set(column.name, typed(expression))
  }
  return values
}

function typed(constant: Constant): Expression {
  if (typeof constant.value === 'boolean') return constant
  return { kind: 'cast', operand: constant, type: constant.type, try: false }
}

/** The operands of nested ANDs. */
export function conjunctsOf(e: Expression): readonly Expression[] {
  if (e.kind !== 'conjunction' || e.operator !== 'and') return [e]
  return e.operands.flatMap(conjunctsOf)
}

/** The operands of nested ORs. */
export function disjunctsOf(e: Expression): readonly Expression[] {
  if (e.kind !== 'conjunction' || e.operator !== 'or') return [e]
  return e.operands.flatMap(disjunctsOf)
}

export function allOf(operands: readonly Expression[]): Expression {
  const [first] = operands
  if (first === undefined) return TRUE
  return operands.length === 1 ? first : { kind: 'conjunction', operator: 'and', operands }
}

export function anyOf(operands: readonly Expression[]): Expression {
  const [first] = operands
  if (first === undefined) return FALSE
  return operands.length === 1 ? first : { kind: 'conjunction', operator: 'or', operands }
}

/** Each of them once, in the order of the first. */
export function distinctExpressions(list: readonly Expression[]): readonly Expression[] {
  if (list.length < 2) return list
  const seen = new Set<string>()
  const distinct = list.filter((e) => {
    const key = keyOf(e)
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
  return distinct.length === list.length ? list : distinct
}

export const comparison = (
  left: Expression,
  operator: ComparisonOperator,
  right: Expression,
): Comparison => ({ kind: 'comparison', operator, left, right })

export const isNotNull = (operand: Expression): Expression => ({
  kind: 'isNull',
  operand,
  negated: true,
})

/** The operator that says the same with its sides exchanged. */
export const MIRRORED: Readonly<Record<ComparisonOperator, ComparisonOperator>> = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
  'is distinct from': 'is distinct from',
  'is not distinct from': 'is not distinct from',
}
