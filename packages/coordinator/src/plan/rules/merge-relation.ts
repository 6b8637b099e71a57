import { equalIr } from '../../sql/ir/equal.ts'
import type { Expression, OrderItem } from '../../sql/ir.ts'
import { columnName, substitute } from '../logical/expressions.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type Computed,
  type DistinctRelation,
  type FilterRelation,
  type JoinCondition,
  type JoinRelation,
  type LimitRelation,
  type PlanColumn,
  type ProjectRelation,
  type Relation,
  type ScanRelation,
  type SetRelation,
  type SortRelation,
  type ValuesRelation,
  type WindowRelation,
} from '../logical/relation.ts'

export interface MergeBy {
  /** True where two scans read the same files of one table. */
  readonly sameScan: (a: number, b: number) => boolean
  /** A name that no column of the plan has. */
  readonly freshName: (name: string) => string
}

/**
 * Puts relations that compute the same into one, whose columns have names of their own. A relation that needs a column
 * more, of a table or computed, adds it: that changes neither which rows there are nor how many. Where every column
 * counts, below DISTINCT and set operations, nothing can be added.
 */
export class Merger {
  /** What columns of the relation that was merged are called in the one that stands for it. */
  readonly names = new Map<string, string>()
  readonly #references = new Map<string, Expression>()
  readonly #by: MergeBy

  constructor(by: MergeBy) {
    this.#by = by
  }

  /** `into` with what `of` needs besides, or without it a copy of `of`; undefined where they are not the same. */
  merge(into: Relation | undefined, of: Relation): Relation | undefined {
    switch (of.kind) {
      case 'scan':
        return matches(into, of) ? this.#scan(into, of) : undefined
      case 'values':
        return matches(into, of) ? this.#values(into, of) : undefined
      case 'filter':
        return matches(into, of) ? this.#filter(into, of) : undefined
      case 'project':
        return matches(into, of) ? this.#project(into, of) : undefined
      case 'join':
        return matches(into, of) ? this.#join(into, of) : undefined
      case 'aggregate':
        return matches(into, of) ? this.#aggregate(into, of) : undefined
      case 'distinct':
        return matches(into, of) ? this.#distinct(into, of) : undefined
      case 'window':
        return matches(into, of) ? this.#window(into, of) : undefined
      case 'sort':
        return matches(into, of) ? this.#sort(into, of) : undefined
      case 'limit':
        return matches(into, of) ? this.#limit(into, of) : undefined
      case 'set':
        return matches(into, of) ? this.#set(into, of) : undefined
      case 'unnest':
      case 'exchange':
      case 'with':
      case 'cte':
      case 'dependent':
        return undefined
    }
  }

  #scan(into: ScanRelation | undefined, of: ScanRelation): Relation | undefined {
    if (into !== undefined && !this.#by.sameScan(into.scan, of.scan)) return undefined
    const columns = [...(into?.columns ?? [])]
    for (const column of of.columns) {
      let found = columns.find((c) => c.source === column.source)
      if (found === undefined) {
        found = { ...column, name: this.#by.freshName(column.name) }
        columns.push(found)
      }
      this.#note(column.name, found.name)
    }
    return { ...of, scan: into?.scan ?? of.scan, columns }
  }

  #values(into: ValuesRelation | undefined, of: ValuesRelation): Relation | undefined {
    if (into !== undefined && !equalIr(into.rows, of.rows)) return undefined
    const columns = this.#byPosition(into?.columns, of.columns)
    return columns && { ...of, columns }
  }

  #filter(into: FilterRelation | undefined, of: FilterRelation): Relation | undefined {
    const input = this.merge(into?.input, of.input)
    if (input === undefined) return undefined
    const conjuncts = this.#renamed(of.conjuncts)
    if (into !== undefined && !sameSet(into.conjuncts, conjuncts)) return undefined
    return { ...of, input, conjuncts: into?.conjuncts ?? conjuncts }
  }

  #project(into: ProjectRelation | undefined, of: ProjectRelation): Relation | undefined {
    const input = this.merge(into?.input, of.input)
    return input && { ...of, input, items: this.#items(into?.items, of.items) }
  }

  #join(into: JoinRelation | undefined, of: JoinRelation): Relation | undefined {
    if (of.dependent !== undefined || (into !== undefined && into.type !== of.type))
      return undefined
    const left = this.merge(into?.left, of.left)
    const right = left && this.merge(into?.right, of.right)
    if (left === undefined || right === undefined) return undefined
    const conditions = of.conditions.map((condition): JoinCondition => ({
      ...condition,
      left: this.#rename(condition.left),
      right: this.#rename(condition.right),
    }))
    const residual = this.#renamed(of.residual)
    const marks = of.mark && this.#byPosition(into?.mark && [into.mark], [of.mark])
    const made: JoinRelation = { ...of, left, right, conditions, residual, mark: marks?.[0] }
    if (into === undefined) return made
    const isSame = sameSet(into.conditions, conditions) && sameSet(into.residual, residual)
    return isSame ? { ...made, conditions: into.conditions, residual: into.residual } : undefined
  }

  /** Groups are by the same keys; aggregates may be added. */
  #aggregate(into: AggregateRelation | undefined, of: AggregateRelation): Relation | undefined {
    const [set, ...others] = of.sets
    if (of.groupings.length > 0 || others.length > 0 || set?.length !== of.keys.length)
      return undefined
    const input = this.merge(into?.input, of.input)
    if (input === undefined) return undefined
    const keys = this.#items(into?.keys, of.keys)
    const isSame =
      into === undefined || (keys.length === into.keys.length && keys.length === of.keys.length)
    if (!isSame) return undefined
    return { ...of, input, keys, aggregates: this.#items(into?.aggregates, of.aggregates) }
  }

  #distinct(into: DistinctRelation | undefined, of: DistinctRelation): Relation | undefined {
    if (of.on !== undefined) return undefined
    const input = this.merge(into?.input, of.input)
    if (input === undefined) return undefined
    if (into !== undefined && !this.#hasAll(input, into.input, of.input)) return undefined
    return { ...of, input, orderBy: [] }
  }

  #window(into: WindowRelation | undefined, of: WindowRelation): Relation | undefined {
    const input = this.merge(into?.input, of.input)
    return input && { ...of, input, windows: this.#items(into?.windows, of.windows) }
  }

  #sort(into: SortRelation | undefined, of: SortRelation): Relation | undefined {
    const input = this.merge(into?.input, of.input)
    if (input === undefined) return undefined
    const orderBy = of.orderBy.map((item): OrderItem => ({
      ...item,
      expression: this.#rename(item.expression),
    }))
    return into === undefined || equalIr(into.orderBy, orderBy)
      ? { ...of, input, orderBy }
      : undefined
  }

  #limit(into: LimitRelation | undefined, of: LimitRelation): Relation | undefined {
    const input = this.merge(into?.input, of.input)
    const isSame = into === undefined || (into.count === of.count && into.offset === of.offset)
    return isSame && input !== undefined ? { ...of, input } : undefined
  }

  /** Columns correspond by position, so that inputs must have come out just as they are. */
  #set(into: SetRelation | undefined, of: SetRelation): Relation | undefined {
    const isSame =
      into === undefined ||
      (into.operator === of.operator &&
        into.all === of.all &&
        into.inputs.length === of.inputs.length)
    if (!isSame) return undefined
    const inputs: Relation[] = []
    for (const [i, input] of of.inputs.entries()) {
      const merged = this.merge(into?.inputs[i], input)
      const wanted = columnsOf(input).map((column) => this.names.get(column.name))
      const found = merged && columnsOf(merged).map((column) => column.name)
      if (merged === undefined || !equalIr(found, wanted)) return undefined
      inputs.push(merged)
    }
    const columns = this.#byPosition(into?.columns, of.columns)
    return columns && { ...of, inputs, columns }
  }

  /** True where the merged relation has the columns of both, and both have all of them. */
  #hasAll(merged: Relation, into: Relation, of: Relation): boolean {
    const count = columnsOf(merged).length
    const mapped = new Set(columnsOf(of).map((column) => this.names.get(column.name)))
    return count === columnsOf(into).length && count === mapped.size
  }

  /** What is computed in the same way is there once; a column that only passes keeps the name that it came with. */
  #items<C extends Computed>(into: readonly C[] | undefined, of: readonly C[]): readonly C[] {
    const items = [...(into ?? [])]
    for (const item of of) {
      const expression = this.#rename(item.expression as Expression) as C['expression']
      const passes = columnName(item.expression) === item.column.name
      let found = items.find((one) => equalIr(one.expression, expression))
      if (found === undefined) {
        const kept = passes ? columnName(expression) : undefined
        const name = kept ?? this.#by.freshName(item.column.name)
        found = { ...item, expression, column: { ...item.column, name } }
        items.push(found)
      }
      this.#note(item.column.name, found.column.name)
    }
    return items
  }

  #byPosition(
    into: readonly PlanColumn[] | undefined,
    of: readonly PlanColumn[],
  ): readonly PlanColumn[] | undefined {
    if (into !== undefined && into.length !== of.length) return undefined
    return of.map((column, i) => {
      const name = into?.[i]?.name ?? this.#by.freshName(column.name)
      this.#note(column.name, name)
      return { ...column, name }
    })
  }

  #renamed(list: readonly Expression[]): readonly Expression[] {
    return list.map((e) => this.#rename(e))
  }

  #rename<E extends Expression>(e: E): E {
    return substitute(e, this.#references)
  }

  #note(name: string, other: string): void {
    this.names.set(name, other)
    this.#references.set(name, columnRef({ name: other }))
  }
}

const matches = <R extends Relation>(into: Relation | undefined, of: R): into is R | undefined =>
  into === undefined || into.kind === of.kind

const sameSet = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((one) => b.some((two) => equalIr(one, two)))
