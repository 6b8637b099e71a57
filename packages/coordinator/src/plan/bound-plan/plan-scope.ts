import type { KernelFunctions } from '../../bind/functions.ts'
import type { ScanTable } from '../../bind/scan-tables.ts'
import type { Expression } from '../../sql/ir.ts'
import { sameType, type SqlType } from '../../sql/sql-types.ts'
import type { PlanColumn, Relation } from '../logical/relation.ts'
import type { ColumnNames } from './column-names.ts'
import { type Raw, refuse } from './raw.ts'
import type { Inputs, Scope } from './read-expression.ts'

/** A relation, and its columns by the positions that the kernel counts. */
export interface Found {
  readonly relation: Relation
  readonly columns: Inputs
}

/** The values of the left side of a join, as its right side reads them. */
export interface DependentSource {
  readonly id: number
  readonly columns: readonly Expression[]
  readonly types: readonly SqlType[]
}

/** What reading a plan needs to know, and what it has seen on the way down. */
export interface PlanScope {
  readonly names: ColumnNames
  readonly functions: KernelFunctions
  readonly tables: ReadonlyMap<string, ScanTable>
  /** Definitions of WITH by the kernel's number for them. */
  readonly ctes: Map<number, readonly PlanColumn[]>
  /** Joins on whose right side we are, the nearest last: what DELIM_GET stands for. */
  readonly dependents: DependentSource[]
  /** Numbers for the plan's own ids. */
  nextId(): number
}

/** Reads one operator with all below it. */
export type RelationReader = (raw: Raw, plan: PlanScope) => Found

/** An operator: the parts that it may have, and how they are read. */
export interface OperatorReader {
  readonly keys: ReadonlySet<string>
  readonly read: RelationReader
}

export const scopeOf = (plan: PlanScope, inputs: Inputs): Scope => ({
  inputs,
  functions: plan.functions,
  names: plan.names,
})

/** All columns, where each position must be one. */
export const allColumns = (columns: Inputs): readonly PlanColumn[] =>
  columns.map((column) => column ?? refuse('a column that only counts rows'))

export const conjunctsOf = (expression: Expression): readonly Expression[] =>
  expression.kind === 'conjunction' && expression.operator === 'and'
    ? expression.operands.flatMap(conjunctsOf)
    : [expression]

export function checkType(wanted: SqlType | undefined, found: SqlType): void {
  if (wanted === undefined || !sameType(wanted, found)) refuse('columns of different types')
}
