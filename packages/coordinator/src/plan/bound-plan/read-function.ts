import type { KernelFunctions } from '../../bind/functions.ts'
import type { Expression, FunctionCall, IntervalUnit } from '../../sql/ir.ts'
import type { SqlType } from '../../sql/sql-types.ts'
import { childOf, objectsOf, type Raw, refuse, textOf, truthOf } from './raw.ts'

export interface FunctionScope {
  readonly functions: KernelFunctions
  readonly read: (raw: Raw) => Expression
}

/** What the binder adds to a scalar subquery: the one call of `error` that is no doing of the user's. */
const MORE_THAN_ONE_ROW = 'More than one row returned by a subquery used as an expression'

/**
 * A scalar function by the name that the binder chose. Its arguments have the types that it was chosen for, so binding
 * it again chooses the same.
 */
export function readFunction(raw: Raw, type: SqlType, scope: FunctionScope): Expression {
  const name = functionName(raw)
  const args = objectsOf(raw, 'children').map(scope.read)
  if (scope.functions.unrepeatable.has(name) && !isSubqueryError(name, args)) {
    return refuse(`it calls ${name}, whose value differs from call to call`)
  }
  const call: FunctionCall = {
    kind: 'function',
    name,
    args,
    distinct: false,
    orderBy: [],
    operator: truthOf(raw, 'is_operator'),
  }
  if (raw['function_data'] !== undefined) return withData(raw, type, call)
  return intervalOf(call) ?? call
}

export function functionName(raw: Raw): string {
  const schema = raw['schema_name']
  if (schema !== '' && schema !== 'main') return refuse(`a function of schema ${String(schema)}`)
  return textOf(raw, 'name')
}

const isSubqueryError = (name: string, args: readonly Expression[]): boolean =>
  name === 'error' &&
  args[0]?.kind === 'constant' &&
  String(args[0].value).startsWith(MORE_THAN_ONE_ROW)

/** Functions that know more than their arguments say: only those for which it can be written. */
function withData(raw: Raw, type: SqlType, call: FunctionCall): Expression {
  if (
    call.name === 'struct_pack' &&
    type.kind === 'struct' &&
    type.fields.length === call.args.length
  ) {
    return { ...call, argNames: type.fields.map((f) => f.name), schema: 'main' }
  }
  if (call.name === 'row' && type.kind === 'struct' && type.fields.length === call.args.length) {
    return { ...call, schema: 'main' }
  }
  return refuse(
    `${call.name} with what it was bound to (${Object.keys(childOf(raw, 'function_data')).join(', ')})`,
  )
}

const UNITS: Readonly<Record<string, IntervalUnit>> = {
  to_years: 'year',
  to_months: 'month',
  to_days: 'day',
  to_hours: 'hour',
  to_minutes: 'minute',
  to_weeks: 'week',
}

/** `INTERVAL (n) DAY`, which the kernel makes `to_days(CAST(trunc(CAST(n AS DOUBLE)) AS INTEGER))`. */
function intervalOf(call: FunctionCall): Expression | undefined {
  const unit = UNITS[call.name]
  const [whole] = call.args
  if (unit === undefined || whole?.kind !== 'cast' || whole.try) return undefined
  const trunc = whole.operand
  if (trunc.kind !== 'function' || trunc.name !== 'trunc') return undefined
  const [double] = trunc.args
  if (double?.kind !== 'cast' || double.try) return undefined
  if (double.type.kind !== 'simple' || double.type.name !== 'DOUBLE') return undefined
  return { kind: 'interval', value: double.operand, unit }
}
