/**
 * A correlated subquery that asks for the least or the greatest of the very relations that the query itself joins computes
 * them twice: `… WHERE ps_partkey = p_partkey AND cost = (SELECT min(cost) FROM <the same> WHERE ps_partkey = p_partkey)`.
 * Once without: the aggregate becomes a window over the rows of the query (Zuzarte et al., "WinMagic", SIGMOD 2003).
 *
 * What it rests on. Of relations that are joined, some are those of the aggregate: the same files, the same conditions.
 * Everything else is tied to them by the keys of the aggregate alone, so that rows of one key have the same partners: all
 * rows of a group are there, or none is. How often each is there no least or greatest value depends on; a sum would.
 */
import type { Expression, FunctionCall, WindowCall } from '../../sql/ir.ts'
import { columnName, columnNames, isNotNull, keyOf, substitute } from '../logical/expressions.ts'
import { isPlainAggregate } from '../logical/properties.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type Computed,
  type Relation,
  type ScanRelation,
  type ScannedColumn,
} from '../logical/relation.ts'
import { isExactType } from '../logical/types.ts'
import { filtered } from './filter-relation.ts'

/** Relations that are joined, what must hold for a row of all, and columns of other names. */
export interface JoinSet {
  readonly leaves: readonly Relation[]
  readonly conditions: readonly Expression[]
  readonly renamed: ReadonlyMap<string, Expression>
}

export interface WindowBy {
  /** The relations that an inner join joins, or the one that it is. */
  readonly flatten: (relation: Relation) => JoinSet
  /** True where two scans read the same files of one table. */
  readonly sameScan: (a: number, b: number) => boolean
}

/** A join without the aggregate, and what is to be done with its rows. */
export interface Windowed {
  readonly joined: JoinSet
  /** What the aggregate was computed from, which need not be made any more. */
  readonly instead: Relation
  readonly finish: (joined: Relation) => Relation
}

/** The join with an aggregate that it joins as a window; undefined where none can be. */
export function aggregateToWindow(join: JoinSet, by: WindowBy): Windowed | undefined {
  for (const [i, leaf] of join.leaves.entries()) {
    const found = groupsOf(leaf)
    if (found === undefined) continue
    const rest = { ...join, leaves: join.leaves.filter((_, j) => j !== i) }
    const windowed = new Matcher(leaf, found, by).match(rest)
    if (windowed !== undefined) return windowed
  }
  return undefined
}

/** Groups by plain columns of which nothing but extremes is asked, and what is computed of them. */
interface Groups {
  readonly aggregate: AggregateRelation
  readonly items: readonly Computed[]
}

function groupsOf(leaf: Relation): Groups | undefined {
  const aggregate = leaf.kind === 'project' ? leaf.input : leaf
  if (aggregate.kind !== 'aggregate' || !isPlainAggregate(aggregate)) return undefined
  const { keys, aggregates, groupings } = aggregate
  const isPlain =
    groupings.length === 0 &&
    keys.every((k) => columnName(k.expression) !== undefined && isExactType(k.column.type)) &&
    aggregates.every(({ expression }) => isExtreme(expression))
  if (!isPlain) return undefined
  const own = columnsOf(aggregate).map((column) => ({ column, expression: columnRef(column) }))
  return { aggregate, items: leaf.kind === 'project' ? leaf.items : own }
}

const isExtreme = ({ name, args, filter, orderBy }: FunctionCall): boolean =>
  (name === 'min' || name === 'max') &&
  args.length === 1 &&
  filter === undefined &&
  orderBy.length === 0

/** A use of a table, and the conditions on its rows. */
interface Use {
  readonly leaf: Relation
  readonly scan: ScanRelation
  readonly conjuncts: readonly Expression[]
}

function useOf(leaf: Relation): Use | undefined {
  if (leaf.kind === 'scan') return { leaf, scan: leaf, conjuncts: [] }
  const isOfTable = leaf.kind === 'filter' && leaf.input.kind === 'scan'
  return isOfTable ? { leaf, scan: leaf.input, conjuncts: leaf.conjuncts } : undefined
}

/** Pairs of uses, the first of the aggregate's and the second of the query's. */
type Pairs = readonly (readonly [Use, Use])[]

class Matcher {
  readonly #leaf: Relation
  readonly #groups: Groups
  readonly #by: WindowBy
  readonly #inner: JoinSet

  constructor(leaf: Relation, groups: Groups, by: WindowBy) {
    this.#leaf = leaf
    this.#groups = groups
    this.#by = by
    this.#inner = by.flatten(groups.aggregate.input)
  }

  match(outer: JoinSet): Windowed | undefined {
    const inner = this.#inner.leaves.map(useOf)
    const uses = outer.leaves.flatMap((leaf) => useOf(leaf) ?? [])
    if (inner.some((use) => use === undefined)) return undefined
    for (const pairs of this.#pairings(
      inner.filter((use) => use !== undefined),
      uses,
    )) {
      const windowed = this.#windowed(outer, pairs)
      if (windowed !== undefined) return windowed
    }
    return undefined
  }

  /** Every way to find the tables of the aggregate among those of the query. */
  *#pairings([first, ...others]: readonly Use[], uses: readonly Use[]): Iterable<Pairs> {
    if (first === undefined) return yield []
    for (const use of uses) {
      if (!this.#by.sameScan(first.scan.scan, use.scan.scan)) continue
      const left = uses.filter((one) => one !== use)
      for (const pairs of this.#pairings(others, left)) yield [[first, use], ...pairs]
    }
  }

  #windowed(outer: JoinSet, pairs: Pairs): Windowed | undefined {
    const { renamed, conditions } = this.#inner
    const { names, leaves } = together(outer.leaves, pairs)
    const inQuery = (e: Expression): Expression => substitute(resolve(e, renamed), names)
    const { aggregate, items } = this.#groups
    const keys = aggregate.keys.map((key) => inQuery(key.expression))
    const own = new Set(columnsOf(this.#leaf).map((column) => column.name))
    const [ofGroups, ofRows] = split(outer.conditions, own)
    const tables = new Set(pairs.flatMap(([, { scan }]) => columnsOf(scan).map((c) => c.name)))
    for (const name of names.values()) tables.add(columnName(name) ?? '')
    const all = [...ofRows, ...pairs.flatMap(([, use]) => use.conjuncts)]
    const wanted = [...conditions, ...pairs.flatMap(([use]) => use.conjuncts)].map(inQuery)
    const equal = new Equalities(all)
    if (!isSameJoin(all, wanted, { tables, keys, equal })) return undefined
    const values = new Map<string, Expression>()
    aggregate.keys.forEach(({ column }, i) => values.set(column.name, keys[i] ?? columnRef(column)))
    const results = new Map(
      items.map(({ column, expression }) => [column.name, substitute(expression, values)] as const),
    )
    const asked = ofGroups.map((e) => substitute(e, results))
    const keyNames = keys.flatMap((key) => columnName(key) ?? [])
    const joins = asked.filter(
      (e) => equal.hasPair(e) && columnsOfPair(e).some((name) => keyNames.includes(name)),
    )
    const known: Expression[] = []
    for (const name of keyNames) {
      const by = joins.map(columnsOfPair).filter((pair) => pair.includes(name))
      if (by.length === 0) return undefined
      // Of a row and itself nothing else is left that would ask for it.
      if (by.every(([a, b]) => a === b)) known.push(isNotNull(columnRef({ name })))
    }
    const windows = aggregate.aggregates.map(({ column, expression }) => ({
      column,
      expression: over(expression.name, expression.args.map(inQuery), keys),
    }))
    const others = [...results].filter(([name, e]) => columnName(e) !== name)
    return {
      joined: {
        leaves,
        conditions: [...ofRows, ...known],
        renamed: new Map([...outer.renamed, ...others]),
      },
      instead: aggregate.input,
      finish: (joined) =>
        filtered(
          { kind: 'window', input: joined, windows },
          asked.filter((e) => !joins.includes(e)),
        ),
    }
  }
}

const over = (
  name: string,
  args: readonly Expression[],
  partitionBy: readonly Expression[],
): WindowCall => ({
  kind: 'window',
  name,
  args,
  distinct: false,
  ignoreNulls: false,
  argOrderBy: [],
  partitionBy,
  orderBy: [],
})

/** The query's tables with the columns that only the aggregate reads, and what the aggregate's columns are called there. */
function together(
  leaves: readonly Relation[],
  pairs: Pairs,
): { readonly leaves: readonly Relation[]; readonly names: ReadonlyMap<string, Expression> } {
  const names = new Map<string, Expression>()
  const wider = new Map<Relation, Relation>()
  for (const [inner, { leaf, scan, conjuncts }] of pairs) {
    const added: ScannedColumn[] = []
    for (const column of inner.scan.columns) {
      const there = scan.columns.find((c) => c.source === column.source)
      if (there === undefined) added.push(column)
      names.set(column.name, columnRef(there ?? column))
    }
    const columns = [...scan.columns, ...added]
    if (added.length > 0) wider.set(leaf, filtered({ ...scan, columns }, conjuncts))
  }
  return { leaves: leaves.map((leaf) => wider.get(leaf) ?? leaf), names }
}

/** True where the conditions on these tables are just the wanted ones, and others meet none but the keys. */
function isSameJoin(
  all: readonly Expression[],
  wanted: readonly Expression[],
  by: {
    readonly tables: ReadonlySet<string>
    readonly keys: readonly Expression[]
    readonly equal: Equalities
  },
): boolean {
  const { tables, keys, equal } = by
  const own = new Equalities(wanted)
  if (!equal.isAmong(tables, own)) return false
  const keyNames = keys.flatMap((key) => columnName(key) ?? [])
  const isKey = (name: string): boolean => keyNames.some((key) => own.areEqual(key, name))
  if (!equal.tied(tables).every(isKey)) return false
  const rest: Expression[] = []
  for (const e of all) {
    if (columnsOfPair(e).length > 0) continue
    const names = [...columnNames(e)]
    const inside = names.filter((name) => tables.has(name))
    if (inside.length === 0) continue
    if (inside.length === names.length) rest.push(e)
    else if (!inside.every(isKey)) return false
  }
  // Rows without a key, or without what they are joined by, have no partner, whether it is said or not.
  const isSaid =
    (pairs: Equalities) =>
    (e: Expression): boolean =>
      columnsOfPair(e).length === 0 && !pairs.rejectsNull(e) && !isNullTest(e, isKey)
  return sameTexts(rest.filter(isSaid(equal)), wanted.filter(isSaid(own)))
}

function sameTexts(a: readonly Expression[], b: readonly Expression[]): boolean {
  const [left, right] = [new Set(a.map(keyOf)), new Set(b.map(keyOf))]
  return left.size === right.size && [...left].every((text) => right.has(text))
}

/** The columns of `a = b`; none of any other condition. */
function columnsOfPair(e: Expression): readonly string[] {
  if (e.kind !== 'comparison' || e.operator !== '=') return []
  const [a, b] = [columnName(e.left), columnName(e.right)]
  return a === undefined || b === undefined ? [] : [a, b]
}

function isNullTest(e: Expression, isOf: (name: string) => boolean): boolean {
  const name = e.kind === 'isNull' && e.negated ? columnName(e.operand) : undefined
  return name !== undefined && isOf(name)
}

/** Columns that are equal, by conditions `a = b`. */
class Equalities {
  readonly #sets = new Map<string, Set<string>>()

  constructor(conditions: readonly Expression[]) {
    for (const e of conditions) {
      const [a, b] = columnsOfPair(e)
      if (a === undefined || b === undefined) continue
      const joined = new Set([...this.#setOf(a), ...this.#setOf(b)])
      for (const name of joined) this.#sets.set(name, joined)
    }
  }

  #setOf(name: string): ReadonlySet<string> {
    return this.#sets.get(name) ?? new Set([name])
  }

  areEqual(a: string, b: string): boolean {
    return this.#setOf(a).has(b)
  }

  /** True for `a = b` of columns that are equal anyhow. */
  hasPair(e: Expression): boolean {
    const [a, b] = columnsOfPair(e)
    return a !== undefined && b !== undefined && this.areEqual(a, b)
  }

  /** True for `a IS NOT NULL` of a column that an equality asks for. */
  rejectsNull(e: Expression): boolean {
    return isNullTest(e, (name) => this.#sets.has(name))
  }

  /** Of these columns just those are equal that `others` has as equal. */
  isAmong(names: ReadonlySet<string>, others: Equalities): boolean {
    for (const name of names) {
      const inside = [...this.#setOf(name)].filter((one) => names.has(one))
      const wanted = others.#setOf(name)
      if (inside.length !== wanted.size || !inside.every((one) => wanted.has(one))) return false
    }
    return true
  }

  /** Those of these columns that are equal to others. */
  tied(names: ReadonlySet<string>): readonly string[] {
    return [...names].filter((name) => [...this.#setOf(name)].some((one) => !names.has(one)))
  }
}

/** Conditions that read one of these columns, and the others. */
function split(
  conditions: readonly Expression[],
  names: ReadonlySet<string>,
): readonly [readonly Expression[], readonly Expression[]] {
  const reads = (e: Expression): boolean => [...columnNames(e)].some((name) => names.has(name))
  return [conditions.filter(reads), conditions.filter((e) => !reads(e))]
}

function resolve(e: Expression, renamed: ReadonlyMap<string, Expression>): Expression {
  const once = substitute(e, renamed)
  return once === e ? e : resolve(once, renamed)
}
