/**
 * A relation over the values of outer columns, said without them.
 *
 * The right side R of a dependent join reads a relation D of the distinct outer values. For each tuple d of D, R has
 * some rows; nothing of R mixes rows of different tuples, since all that could (groups, windows, DISTINCT, set
 * operations) has the tuple's columns among its keys. `Traced` says what these rows are without reading D: those of a
 * relation that pass the conditions in which d stands as a constant. They may then be asked by the join itself, where
 * the outer columns are at hand.
 *
 * Such a relation has rows for values that are not in D as well. They find no partner in the join; but what is computed
 * for them must not fail, see `raisesOnOverflowOnly`.
 */
import type { Expression } from '../../sql/ir.ts'
import {
  columnName,
  columnNames,
  comparison,
  conjunctsOf,
  isNotNull,
  keyOf,
  readsAny,
  substitute,
} from '../logical/expressions.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type Computed,
  type DependentRelation,
  type FilterRelation,
  inputsOf,
  type JoinCondition,
  type JoinRelation,
  type PlanColumn,
  type ProjectRelation,
  type Relation,
  type SetRelation,
  type SortRelation,
  type WindowRelation,
  withInputs,
} from '../logical/relation.ts'
import { simpleType } from '../../sql/sql-types.ts'
import { isRepeatable, raisesOnOverflowOnly } from '../logical/safety.ts'
import { type ColumnTypes, isExactType } from '../logical/types.ts'
import { filtered } from './push-filters.ts'

/** The rows for a tuple d are those for which `outer`, a function of d, is not distinct from `inner`. */
export interface Match {
  /** Position in the tuple. */
  readonly key: number
  readonly outer: Expression
  readonly inner: Expression
  /** `inner` is never NULL. */
  readonly nonNull: boolean
}

export interface Traced {
  readonly relation: Relation
  /** Columns that R has and `relation` has not: their values, over columns of `relation` and those of D. */
  readonly values: ReadonlyMap<string, Expression>
  /** Columns of R that hold a value of the tuple, and its position. */
  readonly keys: ReadonlyMap<string, number>
  readonly matches: readonly Match[]
  /** What else must be true, over columns of `relation` and those of D. */
  readonly pending: readonly Expression[]
  /** Where no row of `relation` is a tuple's, there is one of NULLs all the same. */
  readonly optional: boolean
}

/** One row without columns. */
const UNIT: Relation = { kind: 'values', columns: [], rows: [[]] }
const isUnit = (relation: Relation): boolean =>
  relation.kind === 'values' && relation.columns.length === 0 && relation.rows.length === 1

export function readsDependent(relation: Relation, id: number): boolean {
  if (relation.kind === 'dependent') return relation.id === id
  return inputsOf(relation).some((input) => readsDependent(input, id))
}

export class DependentTracer {
  readonly #id: number
  readonly #types: ColumnTypes
  /** The columns by which a tuple is known everywhere: those of the first D. */
  #tuple: readonly PlanColumn[] = []
  #tupleNames: ReadonlySet<string> = new Set()

  constructor(id: number, types: ColumnTypes) {
    this.#id = id
    this.#types = types
  }

  /** The columns that stand for the tuple in what `trace` gives back. */
  get tuple(): readonly PlanColumn[] {
    return this.#tuple
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
      case 'aggregate':
        return this.#aggregate(relation)
      case 'window':
        return this.#window(relation)
      case 'set':
        return this.#set(relation)
      case 'distinct':
        return this.#distinct(relation)
      case 'sort':
        return this.#sort(relation)
      default:
        // A limit counts the rows of all tuples together, and so on.
        return undefined
    }
  }

  #dependent(relation: DependentRelation): Traced {
    if (this.#tuple.length === 0) {
      this.#tuple = relation.columns
      this.#tupleNames = new Set(relation.columns.map((c) => c.name))
    }
    const keys = new Map<string, number>()
    const values = new Map<string, Expression>()
    for (const [i, { name }] of relation.columns.entries()) {
      keys.set(name, i)
      values.set(name, columnRef(this.#tuple[i] ?? { name }))
    }
    return { relation: UNIT, values, keys, matches: [], pending: [], optional: false }
  }

  #readsTuple(e: Expression): boolean {
    return readsAny(e, this.#tupleNames)
  }

  #isComputable(e: Expression): boolean {
    return raisesOnOverflowOnly(e, this.#types)
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
      if (this.#isSameValue(match)) known.set(this.#nameOf(match), match.inner)
    let open: readonly Expression[] = list
      .flatMap(conjunctsOf)
      .map((e) => substitute(substitute(e, input.values), known))
    for (const e of open) {
      const match = this.#matchOf(e)
      if (match === undefined || known.has(this.#nameOf(match))) continue
      matches.push(match)
      open = open.filter((other) => other !== e)
      if (match.nonNull) local.push(isNotNull(match.inner))
      if (this.#isSameValue(match)) known.set(this.#nameOf(match), match.inner)
    }
    const pending: Expression[] = []
    for (const before of open) {
      const e = substitute(before, known)
      if (!isRepeatable(e)) return undefined
      if (this.#readsTuple(e)) pending.push(before)
      else if (this.#isComputable(e)) local.push(e)
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

  #nameOf(match: Match): string {
    return this.#tuple[match.key]?.name ?? ''
  }

  /** True when `inner` can stand for the value of the tuple wherever that is used. */
  #isSameValue(match: Match): boolean {
    return (
      columnName(match.outer) === this.#nameOf(match) && isExactType(this.#tuple[match.key]?.type)
    )
  }

  /** `outer = inner` where one side is over one value of the tuple alone, and the other over the relation alone. */
  #matchOf(e: Expression): Match | undefined {
    if (e.kind !== 'comparison' || (e.operator !== '=' && e.operator !== 'is not distinct from'))
      return undefined
    const nonNull = e.operator === '='
    for (const [outer, inner] of [
      [e.left, e.right],
      [e.right, e.left],
    ] as const) {
      const names = [...columnNames(outer)]
      const key = this.#tuple.findIndex((c) => c.name === names[0])
      if (names.length !== 1 || key < 0 || !isRepeatable(outer)) continue
      if (this.#readsTuple(inner) || columnNames(inner).size === 0) continue
      if (this.#isComputable(inner)) return { key, outer, inner, nonNull }
    }
    return undefined
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
      if (input.optional || this.#readsTuple(value)) {
        if (!isRepeatable(value)) return undefined
        values.set(column.name, value)
      } else if (key !== undefined) values.set(column.name, value)
      else if (this.#isComputable(value)) items.push({ column, expression: value })
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
    return this.#tuple.every((_, i) => tied.has(i))
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
    if (used.some((e) => this.#readsTuple(e) || !this.#isComputable(e))) return undefined
    if (relation.type !== 'left' || right.values.size === 0) return { ...left, relation: changed }
    // What a left join fills with NULLs must be made on its right side.
    const visible = this.#withValues(right)
    return visible && { ...left, relation: { ...changed, right: visible } }
  }

  /** Groups by the tuple, among others: grouped instead by what the tuple is matched with. */
  #aggregate(relation: AggregateRelation): Traced | undefined {
    const input = this.#closed(relation.input)
    if (input === undefined) return undefined
    const keys = new Map<string, number>()
    const values = new Map<string, Expression>()
    const inner = new Map<number, Expression>()
    const items: Computed[] = []
    for (const [i, { column, expression }] of relation.keys.entries()) {
      const source = columnName(expression)
      const key = source === undefined ? undefined : input.keys.get(source)
      const isEverywhere = relation.sets.every((set) => set.includes(i))
      if (key === undefined || !isEverywhere) {
        const value = substitute(expression, input.values)
        if (this.#readsTuple(value) || !this.#isComputable(value)) return undefined
        items.push({ column, expression: value })
        continue
      }
      const item = this.#keyItem(column, key, input)
      if (item === undefined) return undefined
      keys.set(column.name, key)
      if (item.column !== column) values.set(column.name, columnRef(this.#tuple[key] ?? column))
      inner.set(key, columnRef(item.column))
      items.push(item)
    }
    if (inner.size < this.#tuple.length) return undefined
    const aggregates = relation.aggregates.map((a) => ({
      ...a,
      expression: substitute(a.expression, input.values),
    }))
    if (aggregates.some((a) => this.#isUnfit(a.expression))) return undefined
    const matches = input.matches.map((m) => ({ ...m, inner: inner.get(m.key) ?? m.inner }))
    if (new Set(items.map((item) => item.column.name)).size < items.length) return undefined
    return {
      relation: { ...relation, input: input.relation, keys: items, aggregates },
      values,
      keys,
      matches,
      pending: [],
      optional: false,
    }
  }

  /** What to group by for a value of the tuple: its own column if it holds the same value, else that it is matched with. */
  #keyItem(column: PlanColumn, key: number, input: Traced): Computed | undefined {
    const match = input.matches.find((m) => m.key === key)
    if (match === undefined) return undefined
    if (this.#isSameValue(match)) return { column, expression: match.inner }
    const name = columnName(match.inner)
    const type = name === undefined ? undefined : this.#types.get(name)
    if (name === undefined || type === undefined) return undefined
    return { column: { name, type }, expression: match.inner }
  }

  /** An aggregate or window function whose arguments cannot be computed without the tuple. */
  #isUnfit(call: Expression): boolean {
    if (this.#readsTuple(call)) return true
    if (call.kind !== 'function' && call.kind !== 'window') return true
    const parts = [
      ...call.args,
      ...(call.filter === undefined ? [] : [call.filter]),
      ...call.orderBy.map((item) => item.expression),
      ...(call.kind === 'window' ? call.argOrderBy.map((item) => item.expression) : []),
    ]
    return parts.some((e) => !this.#isComputable(e))
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
      ({ expression }) => !this.#readsTuple(expression) && this.#isComputable(expression),
    )
    return isFit
      ? { ...input, relation: { ...relation, input: input.relation, orderBy } }
      : undefined
  }

  #window(relation: WindowRelation): Traced | undefined {
    const input = this.#closed(relation.input)
    if (input === undefined) return undefined
    const matched = new Map(input.keys)
    const inner = new Map(input.values)
    for (const [name, key] of matched) {
      const match = input.matches.find((m) => m.key === key)
      if (match === undefined) return undefined
      inner.set(name, match.inner)
    }
    for (const { expression } of relation.windows) {
      const found = new Set(expression.partitionBy.map((e) => matched.get(columnName(e) ?? '')))
      if (this.#tuple.some((_, i) => !found.has(i))) return undefined
    }
    const windows = relation.windows.map(({ column, expression }) => ({
      column,
      expression: {
        ...substitute(expression, input.values),
        partitionBy: expression.partitionBy.map((e) => substitute(e, inner)),
      },
    }))
    if (windows.some((w) => this.#isUnfit(w.expression))) return undefined
    return { ...input, relation: { ...relation, input: input.relation, windows } }
  }

  #distinct(relation: Relation & { readonly kind: 'distinct' }): Traced | undefined {
    const input = this.#closed(relation.input)
    if (input === undefined) return undefined
    const names = relation.on?.map((e) => columnName(e) ?? '') ?? [...input.keys.keys()]
    const found = new Set(names.map((name) => input.keys.get(name)))
    if (this.#tuple.some((_, i) => !found.has(i))) return undefined
    const exact = this.#exact(input, columnsOf(relation.input))
    if (exact === undefined) return undefined
    return this.#overKeys(withInputs(relation, [exact]), input.keys, input.matches)
  }

  #set(relation: SetRelation): Traced | undefined {
    const keys = new Map<string, number>()
    const inputs: Relation[] = []
    let matches: readonly Match[] = []
    for (const [i, side] of relation.inputs.entries()) {
      const input = this.#closed(side)
      if (input === undefined || input.keys.size === 0) return undefined
      const exact = this.#exact(input, columnsOf(side))
      if (exact === undefined) return undefined
      inputs.push(exact)
      matches = i === 0 ? input.matches : bothNonNull(matches, input.matches)
      for (const [position, column] of columnsOf(side).entries()) {
        const name = relation.columns[position]?.name ?? ''
        const key = input.keys.get(column.name)
        if (i === 0 && key !== undefined) keys.set(name, key)
        else if (keys.get(name) !== key) keys.delete(name)
      }
    }
    return this.#overKeys(withInputs(relation, inputs), keys, matches)
  }

  /** A relation that has the tuple's values as columns of its own. */
  #overKeys(
    relation: Relation,
    keys: ReadonlyMap<string, number>,
    before: readonly Match[],
  ): Traced | undefined {
    const matches: Match[] = []
    for (const [key, outer] of this.#tuple.entries()) {
      const name = [...keys].find(([, k]) => k === key)?.[0]
      const match = before.find((m) => m.key === key)
      if (name === undefined || match === undefined) return undefined
      matches.push({
        key,
        outer: columnRef(outer),
        inner: columnRef({ name }),
        nonNull: match.nonNull,
      })
    }
    return { relation, values: new Map(), keys, matches, pending: [], optional: false }
  }

  /** An input of which every row is matched with its tuple by equalities alone. */
  #closed(relation: Relation): Traced | undefined {
    const traced = this.trace(relation)
    if (traced === undefined || traced.pending.length > 0 || traced.optional) return undefined
    const matched = new Set(traced.matches.map((m) => m.key))
    const isOnceEach = traced.matches.length === this.#tuple.length
    return isOnceEach && this.#tuple.every((_, i) => matched.has(i)) ? traced : undefined
  }

  /** The relation with the columns that it has in values only. */
  #withValues({ relation, values }: Traced): Relation | undefined {
    const items: Computed[] = columnsOf(relation).map((column) => ({
      column,
      expression: columnRef(column),
    }))
    for (const [name, expression] of values) {
      const type = this.#types.get(name)
      if (type === undefined || this.#readsTuple(expression)) return undefined
      items.push({ column: { name, type }, expression })
    }
    return { kind: 'project', input: relation, items }
  }

  /** The relation with exactly these columns. */
  #exact(traced: Traced, columns: readonly PlanColumn[]): Relation | undefined {
    const items = columns.map((column) => ({
      column,
      expression: traced.values.get(column.name) ?? columnRef(column),
    }))
    if (items.some((item) => this.#readsTuple(item.expression))) return undefined
    return { kind: 'project', input: traced.relation, items }
  }
}

function independent(relation: Relation): Traced {
  const nothing = new Map<string, never>()
  return {
    relation,
    values: nothing,
    keys: nothing,
    matches: [],
    pending: [],
    optional: false,
  }
}

const isBoth = (left: Traced, right: Traced): boolean => left.keys.size > 0 && right.keys.size > 0

const isSame = (a: Expression, b: Expression): boolean => keyOf(a) === keyOf(b)

/** A cross product, or the other side of one row without columns. */
function crossed(join: JoinRelation, left: Relation, right: Relation): Relation {
  if (isUnit(left)) return right
  if (isUnit(right)) return left
  return { ...join, left, right, conditions: [], residual: [] }
}

const conditionsOf = (join: JoinRelation): readonly Expression[] => [
  ...join.conditions.map((c) => comparison(c.left, c.operator, c.right)),
  ...join.residual,
]

const withoutKeyConditions = (
  conditions: readonly Expression[],
  left: ReadonlyMap<string, number>,
  right: ReadonlyMap<string, number>,
): readonly Expression[] =>
  conditions.filter((e) => e.kind !== 'comparison' || tiedKey(e, left, right) === undefined)

/** The value of the tuple in which a condition says that both sides are the same. */
function tiedKey(
  condition: { readonly operator: string; readonly left: Expression; readonly right: Expression },
  left: ReadonlyMap<string, number>,
  right: ReadonlyMap<string, number>,
): number | undefined {
  if (condition.operator !== 'is not distinct from') return undefined
  const key = left.get(columnName(condition.left) ?? '')
  return key !== undefined && right.get(columnName(condition.right) ?? '') === key ? key : undefined
}

const tie = (left: Expression, right: Expression): JoinCondition => ({
  operator: 'is not distinct from',
  left,
  right,
})

/**
 * The tuples alone, each with what it has on the right, or with NULLs. A value of the left side is there even where the
 * right side has no row; one of the right side is not.
 */
function optional(left: Traced, right: Traced): Traced | undefined {
  const values = new Map(left.values)
  const witness = right.matches.find((m) => m.nonNull)
  for (const [name, value] of right.values) {
    if (columnName(value) === undefined || !isOf(right.relation, value)) {
      if (witness === undefined) return undefined
      values.set(name, whenFound(witness, value))
    } else values.set(name, value)
  }
  return { ...right, values, keys: left.keys, optional: true }
}

const isOf = (relation: Relation, e: Expression): boolean =>
  columnsOf(relation).some((column) => column.name === columnName(e))

/** A value where the row that it belongs to is there, else NULL. */
export const whenFound = (witness: Match, value: Expression): Expression => ({
  kind: 'case',
  branches: [{ when: isNotNull(witness.inner), then: value }],
  else: { kind: 'constant', type: simpleType('NULL'), value: null },
})

/** The matches of both sides; where both have one for the same value, that the two are equal says the second. */
function merged(
  left: readonly Match[],
  right: readonly Match[],
): { readonly matches: readonly Match[]; readonly equal: readonly Expression[] } {
  const matches = [...left]
  const equal: Expression[] = []
  for (const match of right) {
    const same = left.find((m) => m.key === match.key && isSame(m.outer, match.outer))
    if (same === undefined) matches.push(match)
    else {
      const operator = same.nonNull || match.nonNull ? '=' : 'is not distinct from'
      equal.push(comparison(same.inner, operator, match.inner))
    }
  }
  return { matches, equal }
}

const bothNonNull = (a: readonly Match[], b: readonly Match[]): readonly Match[] =>
  a.map((match) => ({
    ...match,
    nonNull: match.nonNull && b.some((m) => m.key === match.key && m.nonNull),
  }))

/** A projection that lets pass what is still to be asked. */
function withUsed(
  input: Relation,
  items: readonly Computed[],
  uses: Pick<Traced, 'values' | 'matches' | 'pending'>,
): Relation {
  const used = new Set<string>()
  const add = (e: Expression): void => {
    for (const name of columnNames(e)) used.add(name)
  }
  for (const e of uses.values.values()) add(e)
  for (const e of uses.pending) add(e)
  for (const m of uses.matches) add(m.inner)
  const made = new Set(items.map((item) => item.column.name))
  const more = columnsOf(input).flatMap((column) =>
    used.has(column.name) && !made.has(column.name)
      ? [{ column, expression: columnRef(column) }]
      : [],
  )
  return { kind: 'project', input, items: [...items, ...more] }
}
