import type { Expression } from '../../../sql/ir.ts'
import {
  comparison,
  columnName,
  conjunctsOf,
  isNotNull,
  substitute,
} from '../../logical/expressions.ts'
import {
  columnRef,
  type Computed,
  type DependentRelation,
  type FilterRelation,
  inputsOf,
  type JoinRelation,
  type PlanColumn,
  type ProjectRelation,
  type Relation,
  type SortRelation,
} from '../../logical/relation.ts'
import { isRepeatable } from '../../logical/safety.ts'
import type { ColumnTypes } from '../../logical/types.ts'
import { filtered } from '../filter-relation.ts'
import { traceAggregate, traceDistinct, traceSet, traceWindow } from './trace-groups.ts'
import {
  conditionsOf,
  crossed,
  independent,
  isBoth,
  isSame,
  isUnit,
  merged,
  optional,
  tie,
  tiedKey,
  type Traced,
  UNIT,
  withoutKeyConditions,
  withUsed,
} from './traced.ts'
import { Tuple } from './tuple.ts'

export function readsDependent(relation: Relation, id: number): boolean {
  if (relation.kind === 'dependent') return relation.id === id
  return inputsOf(relation).some((input) => readsDependent(input, id))
}

/** Says relations over D without D; see `Traced`. */
export class DependentTracer {
  readonly #id: number
  readonly #tuple: Tuple

  constructor(id: number, types: ColumnTypes) {
    this.#id = id
    this.#tuple = new Tuple(types)
  }

  /** The columns that stand for the tuple in what `trace` gives back. */
  get tuple(): readonly PlanColumn[] {
    return this.#tuple.columns
  }

  trace(relation: Relation): Traced | undefined {
    if (!readsDependent(relation, this.#id)) return independent(relation)
    switch (relation.kind) {
      case 'dependent':
        return this.#dependent(relation)
      case 'filter':
        return this.#filter(relation)
      case 'project':
        return this.#project(relation)
      case 'join':
        return this.#join(relation)
      case 'aggregate': {
        const input = this.#closed(relation.input)
        return input && traceAggregate(this.#tuple, relation, input)
      }
      case 'window': {
        const input = this.#closed(relation.input)
        return input && traceWindow(this.#tuple, relation, input)
      }
      case 'distinct': {
        const input = this.#closed(relation.input)
        return input && traceDistinct(this.#tuple, relation, input)
      }
      case 'set': {
        const inputs = relation.inputs.map((input) => this.#closed(input))
        return inputs.every((input) => input !== undefined)
          ? traceSet(this.#tuple, relation, inputs)
          : undefined
      }
      case 'sort':
        return this.#sort(relation)
      default:
        // A limit counts the rows of all tuples together, and so on.
        return undefined
    }
  }

  #dependent(relation: DependentRelation): Traced {
    this.#tuple.name(relation.columns)
    const keys = new Map<string, number>()
    const values = new Map<string, Expression>()
    for (const [i, { name }] of relation.columns.entries()) {
      keys.set(name, i)
      values.set(name, columnRef(this.#tuple.columns[i] ?? { name }))
    }
    return { relation: UNIT, values, keys, matches: [], pending: [], optional: false }
  }

  #filter(relation: FilterRelation): Traced | undefined {
    const input = this.trace(relation.input)
    return input === undefined || input.optional
      ? undefined
      : this.#where(input, relation.conjuncts)
  }

  /** The rows of `input` for which all of these are true. */
  #where(input: Traced, list: readonly Expression[]): Traced | undefined {
    const local: Expression[] = []
    const matches = [...input.matches]
    // Values of the tuple that are at hand on this side too.
    const known = new Map<string, Expression>()
    for (const match of matches)
      if (this.#tuple.isSameValue(match)) known.set(this.#tuple.nameOf(match), match.inner)
    let open: readonly Expression[] = list
      .flatMap(conjunctsOf)
      .map((e) => substitute(substitute(e, input.values), known))
    for (const e of open) {
      const match = this.#tuple.matchOf(e)
      if (match === undefined || known.has(this.#tuple.nameOf(match))) continue
      matches.push(match)
      open = open.filter((other) => other !== e)
      if (match.nonNull) local.push(isNotNull(match.inner))
      if (this.#tuple.isSameValue(match)) known.set(this.#tuple.nameOf(match), match.inner)
    }
    const pending: Expression[] = []
    for (const before of open) {
      const e = substitute(before, known)
      if (!isRepeatable(e)) return undefined
      if (this.#tuple.isReadBy(e)) pending.push(before)
      else if (this.#tuple.isComputable(e)) local.push(e)
      else return undefined
    }
    const values = new Map([...input.values].map(([name, e]) => [name, substitute(e, known)]))
    return {
      ...input,
      relation: filtered(input.relation, local),
      values,
      matches,
      pending: [...input.pending, ...pending].map((e) => substitute(e, known)),
    }
  }

  #project(relation: ProjectRelation): Traced | undefined {
    const input = this.trace(relation.input)
    if (input === undefined) return undefined
    const values = new Map<string, Expression>()
    const keys = new Map<string, number>()
    const items: Computed[] = []
    for (const { column, expression } of relation.items) {
      const source = columnName(expression)
      const key = source === undefined ? undefined : input.keys.get(source)
      if (key !== undefined) keys.set(column.name, key)
      const value = substitute(expression, input.values)
      if (input.optional || this.#tuple.isReadBy(value)) {
        if (!isRepeatable(value)) return undefined
        values.set(column.name, value)
      } else if (key !== undefined) values.set(column.name, value)
      else if (this.#tuple.isComputable(value)) items.push({ column, expression: value })
      else return undefined
    }
    const { matches, pending, optional } = input
    const traced = { values, keys, matches, pending, optional }
    if (optional) return { ...traced, relation: input.relation }
    return { ...traced, relation: withUsed(input.relation, items, traced) }
  }

  #join(relation: JoinRelation): Traced | undefined {
    const left = this.trace(relation.left)
    const right = this.trace(relation.right)
    if (left === undefined || right === undefined || left.optional || right.optional)
      return undefined
    switch (relation.type) {
      case 'inner':
        return this.#inner(relation, left, right)
      case 'left':
      case 'semi':
      case 'anti':
      case 'mark':
      case 'single':
        return this.#keepingLeft(relation, left, right)
      case 'right':
      case 'full':
        return undefined
    }
  }

  #inner(relation: JoinRelation, left: Traced, right: Traced): Traced | undefined {
    if (relation.dependent !== undefined) return undefined
    const conditions = conditionsOf(relation)
    const open = withoutKeyConditions(conditions, left.keys, right.keys)
    if (isBoth(left, right) && !this.#isTied(conditions, left, right)) return undefined
    const { matches, equal } = merged(left.matches, right.matches)
    const joined: Traced = {
      relation: crossed(relation, left.relation, right.relation),
      values: new Map([...left.values, ...right.values]),
      keys: new Map([...left.keys, ...right.keys]),
      matches,
      pending: [...left.pending, ...right.pending],
      optional: false,
    }
    return this.#where(joined, [...open, ...equal])
  }

  /** True when two sides that both read D are only brought together for the same tuple. */
  #isTied(conditions: readonly Expression[], left: Traced, right: Traced): boolean {
    const tied = new Set(
      conditions.map((e) =>
        e.kind === 'comparison' ? tiedKey(e, left.keys, right.keys) : undefined,
      ),
    )
    return this.#tuple.isCoveredBy(tied)
  }

  /** Joins whose output has the left rows; what of the right belongs to a tuple must be told by columns of both. */
  #keepingLeft(relation: JoinRelation, left: Traced, right: Traced): Traced | undefined {
    // A single join may fail for left rows that the tuples do not have.
    if (right.pending.length > 0 || relation.type === 'single') return undefined
    const all = relation.conditions.map((c) => comparison(c.left, c.operator, c.right))
    if (right.keys.size > 0 && !this.#isTied(all, left, right)) return undefined
    const conditions = relation.conditions.filter(
      (c) => tiedKey(c, left.keys, right.keys) === undefined,
    )
    if (isUnit(left.relation) && relation.type === 'left') {
      const isWhole = conditions.length === 0 && relation.residual.length === 0
      return isWhole && isBoth(left, right) ? optional(left, right) : undefined
    }
    const ties = right.matches.map((match) => {
      const partner = left.matches.find((m) => m.key === match.key && isSame(m.outer, match.outer))
      return partner === undefined ? undefined : tie(partner.inner, match.inner)
    })
    if (!ties.every((condition) => condition !== undefined)) return undefined
    const values = new Map([...left.values, ...right.values])
    const { dependent } = relation
    const changed: JoinRelation = {
      ...relation,
      left: left.relation,
      right: right.relation,
      conditions: [
        ...ties,
        ...conditions.map((c) => ({
          ...c,
          left: substitute(c.left, values),
          right: substitute(c.right, values),
        })),
      ],
      residual: relation.residual.map((e) => substitute(e, values)),
      dependent: dependent && {
        ...dependent,
        columns: dependent.columns.map((e) => substitute(e, left.values)),
      },
    }
    const used = [
      ...changed.conditions.flatMap((c) => [c.left, c.right]),
      ...changed.residual,
      ...(changed.dependent?.columns ?? []),
    ]
    if (used.some((e) => this.#tuple.isReadBy(e) || !this.#tuple.isComputable(e))) return undefined
    if (relation.type !== 'left' || right.values.size === 0) return { ...left, relation: changed }
    // What a left join fills with NULLs must be made on its right side.
    const visible = this.#tuple.withValues(right)
    return visible && { ...left, relation: { ...changed, right: visible } }
  }

  /** Kept, for aggregates that take rows in the order in which they come. */
  #sort(relation: SortRelation): Traced | undefined {
    const input = this.trace(relation.input)
    if (input === undefined || input.optional) return undefined
    const orderBy = relation.orderBy.map((item) => ({
      ...item,
      expression: substitute(item.expression, input.values),
    }))
    const isFit = orderBy.every(
      ({ expression }) => !this.#tuple.isReadBy(expression) && this.#tuple.isComputable(expression),
    )
    return isFit
      ? { ...input, relation: { ...relation, input: input.relation, orderBy } }
      : undefined
  }

  /** An input of which every row is matched with its tuple by equalities alone. */
  #closed(relation: Relation): Traced | undefined {
    const traced = this.trace(relation)
    if (traced === undefined || traced.pending.length > 0 || traced.optional) return undefined
    const matched = new Set(traced.matches.map((m) => m.key))
    const isOnceEach = traced.matches.length === this.#tuple.columns.length
    return isOnceEach && this.#tuple.isCoveredBy(matched) ? traced : undefined
  }
}
