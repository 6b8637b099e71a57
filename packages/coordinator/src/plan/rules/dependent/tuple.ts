import type { Expression } from '../../../sql/ir.ts'
import { columnName, columnNames, readsAny } from '../../logical/expressions.ts'
import {
  columnRef,
  columnsOf,
  type Computed,
  type PlanColumn,
  type Relation,
} from '../../logical/relation.ts'
import { isRepeatable, raisesOnOverflowOnly } from '../../logical/safety.ts'
import { type ColumnTypes, isExactType } from '../../logical/types.ts'
import type { Match, Traced } from './traced.ts'

/** The outer values for which a subquery is computed, under the names of columns that stand for them everywhere. */
export class Tuple {
  readonly types: ColumnTypes
  #columns: readonly PlanColumn[] = []
  #names: ReadonlySet<string> = new Set()

  constructor(types: ColumnTypes) {
    this.types = types
  }

  get columns(): readonly PlanColumn[] {
    return this.#columns
  }

  /** The first relation of such values that is met gives the names. */
  name(columns: readonly PlanColumn[]): void {
    if (this.#columns.length > 0) return
    this.#columns = columns
    this.#names = new Set(columns.map((c) => c.name))
  }

  isReadBy(e: Expression): boolean {
    return readsAny(e, this.#names)
  }

  /** True when each of the values is among these, by its position. */
  isCoveredBy(keys: ReadonlySet<number | undefined>): boolean {
    return this.#columns.every((_, i) => keys.has(i))
  }

  /** True for what may be computed for values that the tuple does not have. */
  isComputable(e: Expression): boolean {
    return raisesOnOverflowOnly(e, this.types)
  }

  nameOf(match: Match): string {
    return this.#columns[match.key]?.name ?? ''
  }

  /** True when `inner` can stand for the value of the tuple wherever that is used. */
  isSameValue(match: Match): boolean {
    return (
      columnName(match.outer) === this.nameOf(match) && isExactType(this.#columns[match.key]?.type)
    )
  }

  /** `outer = inner` where one side is over one value of the tuple alone, and the other over the relation alone. */
  matchOf(e: Expression): Match | undefined {
    if (e.kind !== 'comparison' || (e.operator !== '=' && e.operator !== 'is not distinct from'))
      return undefined
    const nonNull = e.operator === '='
    for (const [outer, inner] of [
      [e.left, e.right],
      [e.right, e.left],
    ] as const) {
      const names = [...columnNames(outer)]
      const key = this.#columns.findIndex((c) => c.name === names[0])
      if (names.length !== 1 || key < 0 || !isRepeatable(outer)) continue
      if (this.isReadBy(inner) || columnNames(inner).size === 0) continue
      if (this.isComputable(inner)) return { key, outer, inner, nonNull }
    }
    return undefined
  }

  /** An aggregate or window function whose arguments cannot be computed without the tuple. */
  isUnfit(call: Expression): boolean {
    if (this.isReadBy(call)) return true
    if (call.kind !== 'function' && call.kind !== 'window') return true
    const parts = [
      ...call.args,
      ...(call.filter === undefined ? [] : [call.filter]),
      ...call.orderBy.map((item) => item.expression),
      ...(call.kind === 'window' ? call.argOrderBy.map((item) => item.expression) : []),
    ]
    return parts.some((e) => !this.isComputable(e))
  }

  /** The relation with the columns that it has in values only. */
  withValues({ relation, values }: Traced): Relation | undefined {
    const items: Computed[] = columnsOf(relation).map((column) => ({
      column,
      expression: columnRef(column),
    }))
    for (const [name, expression] of values) {
      const type = this.types.get(name)
      if (type === undefined || this.isReadBy(expression)) return undefined
      items.push({ column: { name, type }, expression })
    }
    return { kind: 'project', input: relation, items }
  }

  /** The relation with exactly these columns. */
  exact(traced: Traced, columns: readonly PlanColumn[]): Relation | undefined {
    const items = columns.map((column) => ({
      column,
      expression: traced.values.get(column.name) ?? columnRef(column),
    }))
    if (items.some((item) => this.isReadBy(item.expression))) return undefined
    return { kind: 'project', input: traced.relation, items }
  }
}
