import type { Expression } from '../../sql/ir.ts'
import { simpleType, type SqlType } from '../../sql/sql-types.ts'
import { columnsOf, inputsOf, type PlanColumn, type Relation } from './relation.ts'

/** The type of every column of a plan, by its name. No rule makes a column that is not there from the start. */
export type ColumnTypes = ReadonlyMap<string, SqlType>

export function typesOfRelation(root: Relation): ColumnTypes {
  const types = new Map<string, SqlType>()
  const visit = (relation: Relation): void => {
    for (const { name, type } of ownColumns(relation)) types.set(name, type)
    for (const input of inputsOf(relation)) visit(input)
  }
  visit(root)
  return types
}

const BOOLEAN = simpleType('BOOLEAN')
const DOUBLE = simpleType('DOUBLE')

const ARITHMETIC: ReadonlySet<string> = new Set(['+', '-', '*', '/'])

/** The type of an expression where its form says it. Of functions, only arithmetic of DOUBLE is known. */
export function typeOf(e: Expression, types: ColumnTypes): SqlType | undefined {
  switch (e.kind) {
    case 'column':
      return types.get(e.path[0] ?? '')
    case 'constant':
    case 'cast':
      return e.type
    case 'comparison':
    case 'conjunction':
    case 'not':
    case 'isNull':
    case 'isTruth':
    case 'between':
    case 'in':
      return BOOLEAN
    case 'case':
      return [...e.branches.map((branch) => branch.then), e.else]
        .map((value) => typeOf(value, types))
        .find((type) => type?.kind !== 'simple' || type.name !== 'NULL')
    case 'function': {
      const isDouble = ARITHMETIC.has(e.name) && e.args.every((arg) => isDoubleType(arg, types))
      return isDouble ? DOUBLE : undefined
    }
    default:
      return undefined
  }
}

function isDoubleType(e: Expression, types: ColumnTypes): boolean {
  const type = typeOf(e, types)
  return type?.kind === 'simple' && type.name === 'DOUBLE'
}

/** The columns that a relation makes itself. */
function ownColumns(relation: Relation): readonly PlanColumn[] {
  switch (relation.kind) {
    case 'scan':
    case 'exchange':
    case 'values':
    case 'set':
    case 'cte':
    case 'dependent':
    case 'aggregate':
    case 'project':
      return columnsOf(relation)
    case 'join':
      return relation.mark === undefined ? [] : [relation.mark]
    case 'window':
      return relation.windows.map((w) => w.column)
    case 'unnest':
      return relation.items.map((i) => i.column)
    case 'filter':
    case 'distinct':
    case 'sort':
    case 'limit':
    case 'with':
      return []
  }
}

const EXACT: ReadonlySet<string> = new Set([
  ...['BOOLEAN', 'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT'],
  ...['UINTEGER', 'UBIGINT', 'UHUGEINT', 'VARCHAR', 'DATE', 'TIMESTAMP', 'UUID', 'BLOB'],
])

/** True for types whose equal values are the same value: not those of −0.0 and 0.0, or of one month and 30 days. */
export const isExactType = (type: SqlType | undefined): boolean =>
  type?.kind === 'decimal' || (type?.kind === 'simple' && EXACT.has(type.name))
