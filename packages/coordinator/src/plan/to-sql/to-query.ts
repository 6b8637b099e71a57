import { unreachable } from '@nyala/client/base'
import type { Cte, Expression, FunctionCall, Query, SetOperation, TableRef } from '../../sql/ir.ts'
import { columnNames } from '../logical/expressions.ts'
import {
  type AggregateRelation,
  columnsOf,
  type DependentRelation,
  type DistinctRelation,
  type FilterRelation,
  type JoinRelation,
  type LimitRelation,
  type LogicalPlan,
  type PlanColumn,
  type ProjectRelation,
  type Relation,
  type SetRelation,
  type SortRelation,
  type UnnestRelation,
  type ValuesRelation,
  type WindowRelation,
} from '../logical/relation.ts'
import { exchangeMark, scanMark } from '../physical-plan.ts'
import {
  allInBlock,
  isDistinct,
  type Block,
  canInline,
  emptyBlock,
  hasSets,
  inBlock,
  isGrouped,
  isOpen,
  orderInBlock,
} from './block.ts'
import { emitBlock, integer, type Output } from './emit-block.ts'
import { buildJoin } from './build-join.ts'
import { inRange } from './in-range.ts'
import { canEmit, canGroup, canProject, canSort } from './fits.ts'

export interface ToQueryOptions {
  /** The name by which people know a scan; a word for all of them where it is absent. */
  readonly scanName?: ((scan: number) => string) | undefined
}

/**
 * The query that computes a relation, in its order of columns under the plan's names, or under those of `outputs`. Scans
 * and exchanges are tables named by their marks. Expressions must be repeatable: a value may be computed in more than
 * one place, or not at all.
 */
export function toQuery(
  relation: Relation,
  outputs?: LogicalPlan['outputs'],
  options: ToQueryOptions = {},
): Query {
  const builder = new QueryBuilder(options)
  const wanted: readonly Output[] =
    outputs?.map(({ column, name }) => ({ column: column.name, name })) ??
    columnsOf(relation).map(({ name }) => ({ column: name, name }))
  const query = builder.query(relation, wanted)
  return builder.ctes.length === 0 ? query : { ...query, ctes: builder.ctes }
}

export type Names = ReadonlySet<string>

/** Names of columns that `expressions` read. */
export function namesIn(
  expressions: readonly Expression[],
  more: Iterable<string> = [],
): Set<string> {
  const names = new Set(more)
  for (const e of expressions) for (const name of columnNames(e)) names.add(name)
  return names
}

const namesOf = (columns: readonly PlanColumn[]): readonly string[] => columns.map((c) => c.name)

/** A table that stands in WITH, and its columns by their positions. */
interface NamedQuery {
  readonly name: string
  readonly columns: readonly string[]
}

/** Makes one statement: blocks of relations, and the WITH list that all of them share. */
export class QueryBuilder {
  readonly ctes: Cte[] = []
  readonly #named = new Map<number, NamedQuery>()
  /** Left sides of joins by the ids under which right sides read their distinct values. */
  readonly #dependents = new Map<
    number,
    { readonly left: Block; readonly columns: readonly Expression[] }
  >()
  readonly #aliases = new Map<string, number>()
  readonly #options: ToQueryOptions

  constructor(options: ToQueryOptions) {
    this.#options = options
  }

  /** A relation as a query of these columns. */
  query(relation: Relation, outputs: readonly Output[]): Query {
    const needed = new Set(outputs.map((o) => o.column))
    const block = this.build(relation, needed)
    const fits = canEmit(block, outputs)
    return emitBlock(fits ? block : this.wrap(block, needed), outputs)
  }

  /** A relation as a block that has at least the columns `needed`. */
  build(relation: Relation, needed: Names): Block {
    switch (relation.kind) {
      case 'scan':
        return this.#table(
          scanMark(relation.scan),
          this.alias(this.#options.scanName?.(relation.scan) ?? 't'),
          relation.columns.map((c) => [c.name, c.source]),
        )
      case 'exchange':
        if (relation.range !== undefined)
          return this.build(inRange(relation, relation.range), needed)
        return this.#table(
          exchangeMark(relation.exchange),
          this.alias('parts'),
          relation.columns.map((c) => [c.name, c.name]),
        )
      case 'values':
        return this.#values(relation)
      case 'filter':
        return this.#filter(relation, needed)
      case 'project':
        return this.#project(relation, needed)
      case 'join':
        return this.#join(relation, needed)
      case 'aggregate':
        return this.#aggregate(relation, needed)
      case 'distinct':
        return this.#distinct(relation, needed)
      case 'window':
        return this.#window(relation, needed)
      case 'unnest':
        return this.#unnest(relation, needed)
      case 'sort':
        return this.#sort(relation, needed)
      case 'limit':
        return this.#limit(relation, needed)
      case 'set':
        return this.#set(relation)
      case 'with': {
        const columns = namesOf(columnsOf(relation.definition))
        const named = this.name('w', this.query(relation.definition, sameNames(columns)), columns)
        this.#named.set(relation.id, named)
        return this.build(relation.body, needed)
      }
      case 'cte': {
        const named = this.#named.get(relation.id)
        if (named === undefined) throw new Error(`WITH ${relation.id} is nowhere defined`)
        return this.tableOf(
          named,
          relation.columns.map((c) => c.name),
        )
      }
      case 'dependent':
        return this.#dependent(relation)
      default:
        return unreachable(relation)
    }
  }

  /** A name for a table that is no other's. */
  alias(base: string): string {
    const key = base.toLowerCase()
    const n = (this.#aliases.get(key) ?? 0) + 1
    this.#aliases.set(key, n)
    if (n === 1) return base
    const name = `${base}_${n}`
    return this.#aliases.has(name.toLowerCase()) ? this.alias(base) : this.alias(name)
  }

  /** The block as a table of another that has the columns `needed`. */
  wrap(block: Block, needed: Names): Block {
    const columns = [...block.columns.keys()].filter((name) => block.hasUnnest || needed.has(name))
    const names = isDistinct(block) ? [...block.columns.keys()] : columns
    return this.derived(emitBlock(block, sameNames(names)), names)
  }

  /** A query as a table of a block. */
  derived(query: Query, columns: readonly string[]): Block {
    const alias = this.alias('q')
    return {
      ...emptyBlock,
      from: { kind: 'subquery', query, alias, columnAliases: [] },
      columns: new Map(columns.map((name) => [name, { kind: 'column', path: [alias, name] }])),
      query: { query, columns },
    }
  }

  /** A query put into the WITH list. */
  name(base: string, query: Query, columns: readonly string[], materialized = false): NamedQuery {
    const name = this.alias(base)
    this.ctes.push({ name, columns: [], query, key: [], ...(materialized ? { materialized } : {}) })
    return { name, columns }
  }

  /** A use of a query of the WITH list, its columns under other names. */
  tableOf(named: NamedQuery, columns: readonly string[] = named.columns): Block {
    return this.#table(
      named.name,
      this.alias(named.name),
      columns.map((name, i) => [name, named.columns[i] ?? name]),
    )
  }

  addDependent(id: number, left: Block, columns: readonly Expression[]): void {
    this.#dependents.set(id, { left, columns })
  }

  #table(
    table: string,
    alias: string,
    columns: readonly (readonly [name: string, source: string])[],
  ): Block {
    return {
      ...emptyBlock,
      from: { kind: 'table', table, alias, columnAliases: [] },
      columns: new Map(
        columns.map(([name, source]) => [name, { kind: 'column', path: [alias, source] }]),
      ),
    }
  }

  #values({ columns, rows }: ValuesRelation): Block {
    if (columns.length === 0 && rows.length === 1) return emptyBlock
    if (rows.length === 0) {
      const nulls = columns.map(
        ({ name, type }) => [name, { kind: 'constant', type, value: null }] as const,
      )
      const none: Expression = {
        kind: 'constant',
        type: { kind: 'simple', name: 'BOOLEAN' },
        value: false,
      }
      return { ...emptyBlock, columns: new Map(nulls), where: [none] }
    }
    const alias = this.alias('v')
    const names = columns.length === 0 ? ['one'] : namesOf(columns)
    const from: TableRef = {
      kind: 'values',
      rows: columns.length === 0 ? rows.map(() => [integer(1)]) : rows,
      alias,
      columnAliases: names,
    }
    return {
      ...emptyBlock,
      from,
      columns: new Map(columns.map(({ name }) => [name, { kind: 'column', path: [alias, name] }])),
    }
  }

  #filter({ input, conjuncts }: FilterRelation, needed: Names): Block {
    const inner = namesIn(conjuncts, needed)
    const block = this.build(input, inner)
    if (isGrouped(block) && !hasSets(block)) {
      return { ...block, having: [...block.having, ...allInBlock(conjuncts, block)] }
    }
    const fits = isOpen({ ...block, orderBy: [] }) && canInline(block, conjuncts, needed)
    const base = fits ? block : this.wrap(block, inner)
    return { ...base, where: [...base.where, ...allInBlock(conjuncts, base)] }
  }

  #project({ input, items }: ProjectRelation, needed: Names): Block {
    const wanted = items.filter((item) => needed.has(item.column.name))
    const expressions = wanted.map((item) => item.expression)
    const inner = namesIn(expressions)
    const block = this.build(input, inner)
    const base = canProject(block, expressions) ? block : this.wrap(block, inner)
    const columns = new Map(
      wanted.map(({ column, expression }) => [column.name, inBlock(expression, base)] as const),
    )
    return { ...base, columns }
  }

  #aggregate(relation: AggregateRelation, needed: Names): Block {
    const { input, keys, sets, groupings } = relation
    const aggregates = relation.aggregates.filter((a) => needed.has(a.column.name))
    const inputs = [...keys, ...aggregates].map((part) => part.expression as Expression)
    const inner = namesIn(inputs)
    let block = this.build(input, inner)
    if (!isOpen(block) || !canInline(block, inputs)) block = this.wrap(block, inner)
    const base = this.#groupable(block, relation, inner)
    const keyValues = keys.map(({ column, expression }) =>
      base === block ? inBlock(expression, base) : inBlock(ref(keyName(column.name)), base),
    )
    const columns = new Map<string, Expression>()
    for (const [i, key] of keys.entries()) columns.set(key.column.name, keyValues[i] ?? integer(1))
    for (const { column, expression } of aggregates) {
      columns.set(column.name, inBlock(expression, base))
    }
    for (const { column, keys: of } of groupings) {
      columns.set(column.name, { kind: 'grouping', args: of.flatMap((i) => keyValues[i] ?? []) })
    }
    const groupBy = { all: false, expressions: keyValues, sets }
    const grouped: Block = { ...base, query: undefined, columns, groupBy }
    if (keys.length > 0 || aggregates.length > 0) return grouped
    // Without keys it is the aggregates that make one row of many, so there has to be one.
    const counted = { ...grouped, columns: new Map([...columns, ['one', COUNT_STAR] as const]) }
    const one = this.wrap(counted, new Set([...needed, 'one']))
    return { ...one, columns: only(one.columns, [...needed]) }
  }

  /**
   * The block with the keys as columns of a table, where they could not be written in GROUP BY: a constant would be the
   * number of a column, and of two alike one could not tell which is NULL in which grouping set.
   */
  #groupable(block: Block, relation: AggregateRelation, inner: Names): Block {
    const { keys } = relation
    const values = keys.map((key) => inBlock(key.expression, block))
    if (canGroup(values, relation)) return block
    const columns = new Map(block.columns)
    for (const [i, key] of keys.entries())
      columns.set(keyName(key.column.name), values[i] ?? integer(1))
    const names = new Set([...inner, ...keys.map((key) => keyName(key.column.name))])
    return this.wrap({ ...block, columns }, names)
  }

  #distinct({ input, on, orderBy }: DistinctRelation, needed: Names): Block {
    const terms = orderBy.map((item) => item.expression)
    if (on === undefined && input.kind === 'set') {
      // UNION is UNION ALL and DISTINCT to the kernel.
      if (!input.all) return this.#set(input)
      if (input.operator === 'union') return this.#set({ ...input, all: false })
    }
    if (on === undefined) {
      const all = namesOf(columnsOf(input))
      const block = this.build(input, new Set(all))
      const fits = isOpen({ ...block, groupBy: undefined, hasWindows: false })
      const base = fits ? block : this.wrap(block, new Set(all))
      return { ...base, query: undefined, columns: only(base.columns, all), distinct: { on: [] } }
    }
    const inner = namesIn([...on, ...terms], needed)
    const block = this.build(input, inner)
    const fits = isOpen(block) && canInline(block, [...on, ...terms], needed)
    const base = fits ? block : this.wrap(block, inner)
    let values = allInBlock(on, base)
    if (values.some((value) => value.kind === 'constant'))
      values = values.filter((v) => v.kind !== 'constant')
    // The first of all rows.
    if (values.length === 0) {
      return {
        ...base,
        query: undefined,
        orderBy: orderInBlock(orderBy, base),
        limit: { count: 1, offset: 0 },
      }
    }
    return {
      ...base,
      query: undefined,
      distinct: { on: values },
      orderBy: orderInBlock(orderBy, base),
    }
  }

  #window({ input, windows }: WindowRelation, needed: Names): Block {
    const wanted = windows.filter((w) => needed.has(w.column.name))
    const own = new Set(namesOf(windows.map((w) => w.column)))
    const above = new Set([...needed].filter((name) => !own.has(name)))
    if (wanted.length === 0) return this.build(input, above)
    const expressions = wanted.map((w) => w.expression)
    const inner = namesIn(expressions, above)
    const block = this.build(input, inner)
    const isReady = (isOpen(block) || isGrouped(block)) && !hasSets(block)
    const fits = isReady && canInline(block, expressions, above)
    const base = fits ? block : this.wrap(block, inner)
    const columns = new Map(base.columns)
    for (const { column, expression } of wanted) columns.set(column.name, inBlock(expression, base))
    return { ...base, query: undefined, columns, hasWindows: true }
  }

  #unnest({ input, items }: UnnestRelation, needed: Names): Block {
    const expressions = items.map((item) => item.expression)
    const own = new Set(items.map((item) => item.column.name))
    const above = new Set([...needed].filter((name) => !own.has(name)))
    const inner = namesIn(expressions, above)
    const block = this.build(input, inner)
    const fits = isOpen(block) && canInline(block, expressions, above)
    const base = fits ? block : this.wrap(block, inner)
    const columns = new Map([...base.columns].filter(([name]) => above.has(name)))
    for (const { column, expression } of items) {
      columns.set(column.name, unnestOf(inBlock(expression, base)))
    }
    return { ...base, query: undefined, columns, hasUnnest: true }
  }

  #sort({ input, orderBy }: SortRelation, needed: Names): Block {
    const terms = orderBy.map((item) => item.expression)
    const inner = namesIn(terms, needed)
    const block = this.build(input, inner)
    const base = canSort(block, orderBy, needed) ? block : this.wrap(block, inner)
    return { ...base, query: undefined, orderBy: orderInBlock(orderBy, base) }
  }

  #limit({ input, count, offset }: LimitRelation, needed: Names): Block {
    const block = this.build(input, needed)
    const base = block.limit === undefined ? block : this.wrap(block, needed)
    return { ...base, query: undefined, limit: { count, offset } }
  }

  #set({ operator, all, columns, inputs }: SetRelation): Block {
    const names = namesOf(columns)
    const queries = inputs.map((input) => {
      const own = namesOf(columnsOf(input))
      return this.query(
        input,
        own.map((column, i) => ({ column, name: names[i] ?? column })),
      )
    })
    const [first, ...others] = queries
    if (first === undefined) throw new Error('a set operation has inputs')
    const query = others.reduce<Query>(
      (left, right): SetOperation => ({
        kind: 'setOperation',
        ctes: [],
        orderBy: [],
        operator,
        all,
        byName: false,
        left,
        right,
      }),
      first,
    )
    return this.derived(query, names)
  }

  #dependent({ id, columns }: DependentRelation): Block {
    const source = this.#dependents.get(id)
    if (source === undefined) throw new Error(`dependent relation ${id} is of no join`)
    const alias = this.alias('q')
    const left = withAlias(source.left, alias)
    const values = columns.map(({ name }, i) => {
      const expression = source.columns[i]
      if (expression === undefined)
        throw new Error('a dependent relation has the columns of its join')
      return [name, inBlock(expression, left)] as const
    })
    return { ...left, query: undefined, columns: new Map(values), distinct: { on: [] } }
  }

  #join(relation: JoinRelation, needed: Names): Block {
    return buildJoin(this, relation, needed)
  }
}

const sameNames = (names: readonly string[]): readonly Output[] =>
  names.map((name) => ({ column: name, name }))

const ref = (name: string): Expression => ({ kind: 'column', path: [name] })

/** A name for a key inside the block that computes it: the plan's own names have no such sign. */
const keyName = (name: string): string => `${name}:key`

const COUNT_STAR: FunctionCall = {
  kind: 'function',
  name: 'count_star',
  args: [],
  distinct: false,
  orderBy: [],
  operator: false,
}

const unnestOf = (list: Expression): FunctionCall => ({
  ...COUNT_STAR,
  name: 'unnest',
  args: [list],
})

const only = (
  columns: ReadonlyMap<string, Expression>,
  names: readonly string[],
): ReadonlyMap<string, Expression> => {
  const wanted = new Set(names)
  return new Map([...columns].filter(([name]) => wanted.has(name)))
}

/** A block over one table, that table under another name. */
function withAlias(block: Block, alias: string): Block {
  const { from } = block
  if (from === undefined || from.kind === 'join') throw new Error('a block over one table')
  const columns = new Map(
    [...block.columns].map(([name, e]) => [
      name,
      e.kind === 'column' ? { ...e, path: [alias, e.path[1] ?? ''] } : e,
    ]),
  )
  return { ...block, from: { ...from, alias }, columns }
}
