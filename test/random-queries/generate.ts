import type { Prng } from '@nyala/client/base'
import { Aggregates } from './aggregates.ts'
import { Expressions } from './expressions.ts'
import { From } from './from.ts'
import {
  type GeneratedQuery,
  type Grouping,
  type Item,
  type OrderTerm,
  plainQuery,
  quoteName,
  type ScopeColumn,
  type Source,
} from './query.ts'
import { named, outputColumns, type Relation, type Scoped, scopeOf } from './scope.ts'
import { allColumns, type ItemKind, rowsOf, TABLES, VIEWS } from './tables.ts'
import { Windows } from './windows.ts'

type Scope = readonly ScopeColumn[]

const BASE: readonly Relation[] = TABLES.map((t) => ({
  name: t.name,
  columns: allColumns(t),
  isKeyed: t.columns.some((c) => c.name === 'id'),
  rows: rowsOf(t),
}))
/** Often the tables that are large enough to be divided in interesting ways. */
const WEIGHTED: readonly Relation[] = [
  ...BASE,
  ...BASE.filter((t) => ['events', 'sales', 'drift', 'skew', 'dims'].includes(t.name)),
  ...BASE.filter((t) => ['events', 'sales', 'skew'].includes(t.name)),
  ...VIEWS,
]

const SUFFIXES = ['', '', 'DESC', 'ASC', 'NULLS FIRST', 'DESC NULLS LAST', 'NULLS LAST']
/** Aliases that also are columns of tables, or names that the planner uses. */
const ALIASES = [
  'x',
  'y',
  'z',
  'k',
  'g',
  'id',
  'name',
  'key_0',
  'value_0',
  'key_1',
  'Total',
  'region',
]
const SET_OPERATORS = ['UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT', 'EXCEPT ALL', 'INTERSECT ALL']

/** Makes queries that have one right answer, from a stream of random numbers. */
export class QueryGenerator {
  readonly #random: Prng
  readonly #expressions: Expressions
  readonly #aggregates: Aggregates
  readonly #windows: Windows
  readonly #from: From
  #names = 0
  #ids = 0
  #ctes: Relation[] = []

  constructor(random: Prng) {
    this.#random = random
    this.#expressions = new Expressions(random, {
      table: () => {
        const relation = this.#relation()
        const alias = this.#name('s')
        const unique = relation.isKeyed === true ? `${alias}.id` : undefined
        const scope = scopeOf(relation.columns, alias)
        return { text: `${relation.name} AS ${alias}`, scope, unique }
      },
    })
    this.#aggregates = new Aggregates(random, this.#expressions)
    this.#windows = new Windows(random, this.#expressions)
    this.#from = new From(random, this.#expressions, {
      relation: () => this.#relation(),
      name: (prefix) => this.#name(prefix),
      query: (depth) => this.#inner(depth),
      lateral: (inner, outer) => this.#lateral(inner, outer),
    })
  }

  query(): GeneratedQuery {
    const random = this.#random
    const ctes: { name: string; query: GeneratedQuery }[] = []
    while (random.chance(0.2) && ctes.length < 3) {
      const name = random.chance(0.2) ? random.pick(BASE).name : `w${ctes.length}`
      if (ctes.some((c) => c.name === name)) break
      const { query, rows } = this.#inner(0)
      ctes.push({ name, query })
      const relation = { name, columns: outputColumns(query), rows }
      this.#ctes = [...this.#ctes.filter((c) => c.name !== name), relation]
    }
    const body = random.chance(0.08) ? this.#setOperation(2).query : this.#select(1).query
    const ordered = random.chance(0.03) ? this.#distinctOn(body) : this.#withOrder(body)
    return { ...ordered, ctes }
  }

  #name(prefix: string): string {
    return `${prefix}${++this.#names}`
  }

  /** A query to read from: sometimes one of sets, sometimes the first rows in an order that leaves no choice. */
  #inner(depth: number): { readonly query: GeneratedQuery; readonly rows: number } {
    const random = this.#random
    const made = random.chance(0.1) ? this.#setOperation(1) : this.#select(depth)
    const query = named(made.query)
    if (!random.chance(0.2)) return { query, rows: made.rows }
    const order = random.shuffle(query.items).map((item): OrderTerm => ({
      item: item.id,
      style: 'ordinal',
      suffix: random.pick(SUFFIXES),
    }))
    const limit = random.below(60)
    const offset = random.chance(0.3) ? random.below(9) : undefined
    return { query: { ...query, order, limit, offset }, rows: Math.min(limit, made.rows) }
  }

  #select(depth: number): { readonly query: GeneratedQuery; readonly rows: number } {
    const random = this.#random
    const from = this.#from.from(depth)
    const { source, scope, unique, rows } = from
    const where: string[] = []
    while (random.chance(0.4) && where.length < 3) where.push(this.#expressions.bool(scope, 2))
    const shape = random.below(10)
    const base = { from: source, where }
    if (shape < 5) return { query: { ...this.#grouped(scope), ...base }, rows: rows / 4 }
    const items = this.#items(from, shape === 9)
    const qualify = random.chance(0.06) ? [this.#windows.test(scope, unique)] : []
    const distinct = random.chance(0.25)
    const byRow = qualify.length === 0 && !items.some((i) => /unnest|\bOVER\b/.test(i.sql))
    return { query: plainQuery({ ...base, items, distinct, qualify, byRow }), rows }
  }

  #setOperation(depth: number): { readonly query: GeneratedQuery; readonly rows: number } {
    const kinds = Array.from({ length: this.#random.below(3) + 1 }, () => this.#expressions.kind())
    const side = (): { readonly query: GeneratedQuery; readonly rows: number } => {
      const { source, scope, rows } = this.#from.from(0)
      const items = kinds.map((kind) => this.#item(this.#expressions.of(kind, scope, 1), kind))
      const where = this.#random.chance(0.4) ? [this.#expressions.bool(scope, 1)] : []
      return { query: plainQuery({ from: source, items, where }), rows }
    }
    let made = side()
    const count = depth > 1 ? this.#random.below(3) + 1 : 1
    for (let i = 0; i < count; i++) {
      const left = side()
      const set = { operator: this.#random.pick(SET_OPERATORS), right: made.query }
      made = { query: { ...left.query, set }, rows: left.rows + made.rows }
    }
    return made
  }

  #lateral(inner: Scoped, outer: Scope): GeneratedQuery {
    const random = this.#random
    const keys = (scope: Scope): Scope =>
      scope.filter((c) => c.kind === 'int' && c.source !== undefined)
    const [a, b] = [keys(inner.scope), keys(outer)]
    const where: string[] = []
    if (a.length > 0 && b.length > 0) {
      const [x, y] = [random.pick(a), random.pick(b)]
      where.push(`${x.source}.${quoteName(x.name)} = ${y.source}.${quoteName(y.name)}`)
    }
    if (random.chance(0.3)) {
      const items = [this.#aggregateItem(inner.scope, [])]
      return plainQuery({ items, from: inner.source, where })
    }
    const items = this.#items(inner, false).slice(0, 2)
    const query = plainQuery({ items, from: inner.source, where })
    if (!random.chance(0.25)) return query
    const order = items.map((i): OrderTerm => ({ item: i.id, style: 'ordinal', suffix: '' }))
    return { ...query, order, limit: random.below(4) }
  }

  // -------------------------------------------------------------------------------------------
  // Outputs

  #item(sql: string, kind: ItemKind, aliasChance = 0.4): Item {
    const alias = this.#random.chance(aliasChance) ? this.#random.pick(ALIASES) : undefined
    return { id: ++this.#ids, sql, kind, alias }
  }

  #items({ scope, unique }: Scoped, withWindows: boolean): readonly Item[] {
    const random = this.#random
    const windows = withWindows ? random.below(3) + 1 : 0
    const items = Array.from({ length: windows }, () =>
      this.#item(this.#windows.call(scope, unique), 'other'),
    )
    const count = random.below(4) + 1
    for (let i = 0; i < count; i++) {
      const roll = random.below(22)
      if (roll < 8) {
        const column = this.#expressions.anyColumn(scope)
        items.push(this.#item(column.sql, column.kind, 0.2))
      } else if (roll === 8) {
        items.push(this.#item(this.#expressions.scalarSubquery(scope), 'other'))
      } else if (roll === 9) items.push(this.#item(this.#expressions.exotic(scope), 'other'))
      else if (roll === 10 && random.chance(0.4)) {
        const list = this.#expressions.column('list', scope) ?? '[1, NULL, 1]'
        items.push(this.#item(`unnest(${list})`, 'int'))
      } else items.push(this.#anyItem(scope))
    }
    return items
  }

  #anyItem(scope: Scope): Item {
    const kind = this.#expressions.kind()
    return this.#item(this.#expressions.of(kind, scope, 2), kind)
  }

  #grouped(scope: Scope): GeneratedQuery {
    const random = this.#random
    const count = random.pick([0, 1, 1, 1, 2, 2, 3])
    const keys = Array.from({ length: count }, () => {
      const roll = random.below(10)
      if (roll === 6) return this.#item(this.#expressions.exotic(scope), 'other')
      if (roll > 6) return this.#anyItem(scope)
      const column = this.#expressions.anyColumn(scope)
      return this.#item(column.sql, column.kind)
    })
    const shown = keys.filter(() => !random.chance(0.15))
    const items = [...shown]
    const group = keys.length === 0 ? undefined : this.#grouping(keys, shown)
    const isOfSets = group !== undefined && /rollup|cube|sets/.test(group.style)
    const aggregates = random.below(3) + (items.length === 0 ? 1 : 0)
    for (let i = 0; i < aggregates; i++) {
      // In a group of several keys' values, any of them would do.
      const item = this.#aggregateItem(scope, isOfSets ? [] : keys)
      items.splice(random.below(items.length + 1), 0, item)
    }
    if (isOfSets) {
      if (random.chance(0.5)) {
        const some = random.shuffle(keys).slice(0, random.below(keys.length) + 1)
        items.push(this.#item(`grouping(${some.map((k) => k.sql).join(', ')})`, 'int'))
      }
    } else if (random.chance(0.12)) {
      items.push(this.#item(this.#overGroups(keys), 'other'))
    }
    const having = random.chance(0.25) ? [this.#having(scope, keys)] : []
    return plainQuery({ items, group, having, distinct: random.chance(0.08) })
  }

  /** A window over the groups. */
  #overGroups(keys: readonly Item[]): string {
    const random = this.#random
    const key = keys.length === 0 ? undefined : random.pick(keys).sql
    const partition = key === undefined ? '' : `PARTITION BY ${key}`
    return random.pick([
      `rank() OVER (ORDER BY count(*) DESC)`,
      `sum(count(*)) OVER (${partition})`,
      `dense_rank() OVER (${partition} ORDER BY max(${this.#expressions.literal('int')}))`,
      `max(count(*)) OVER (ORDER BY ${key ?? 'count(*)'} NULLS FIRST)`,
    ])
  }

  #grouping(keys: readonly Item[], shown: readonly Item[]): Grouping {
    const random = this.#random
    const extra = keys.filter((key) => !shown.includes(key)).map((key) => key.sql)
    const ids = shown.map((key) => key.id)
    if (random.chance(0.2)) {
      return { style: random.pick(['rollup', 'cube', 'sets'] as const), keys: ids, extra }
    }
    const style = random.pick(['expressions', 'expressions', 'ordinals', 'aliases'] as const)
    const isAll = extra.length === 0 && random.chance(0.15)
    return { style: isAll ? 'all' : style, keys: ids, extra: isAll ? [] : extra }
  }

  #aggregateItem(scope: Scope, keys: readonly Item[]): Item {
    const random = this.#random
    const one = this.#aggregates.one(scope)
    const roll = random.below(14)
    const int = (): string => this.#aggregates.int(scope).sql
    if (roll === 0) return this.#item(`${int()} + count(*)`, 'other')
    if (roll === 1) return this.#item(`CASE WHEN count(*) > 2 THEN ${one.sql} END`, one.kind)
    if (roll === 2)
      return this.#item(`coalesce(sum(${this.#expressions.of('decimal', scope, 1)}), 0)`, 'other')
    const key = keys.find((k) => k.kind === 'int')
    if (roll === 3 && key !== undefined) return this.#item(`${key.sql} + count(*)`, 'int')
    if (roll === 4 && key !== undefined) return this.#item(`any_value(${key.sql})`, 'int')
    return this.#item(one.sql, one.kind)
  }

  #having(scope: Scope, keys: readonly Item[]): string {
    const random = this.#random
    const key = keys.length > 0 && random.chance(0.4) ? random.pick(keys) : undefined
    if (key !== undefined) {
      const name = key.alias !== undefined && random.chance(0.5) ? quoteName(key.alias) : key.sql
      return `${name} IS NOT NULL`
    }
    const value = random.chance(0.15) ? this.#expressions.scalarSubquery([]) : random.below(6)
    return `${this.#aggregates.int(scope).sql} ${random.pick(['>', '<', '<>'])} ${value}`
  }

  // -------------------------------------------------------------------------------------------
  // ORDER BY and LIMIT

  #withOrder(query: GeneratedQuery): GeneratedQuery {
    const random = this.#random
    if (!random.chance(0.5)) {
      return random.chance(0.15) ? { ...query, limit: random.below(30) } : query
    }
    const style = (item: Item): OrderTerm['style'] => random.pick(sureStyles(item, query))
    const suffix = (): string => random.pick(SUFFIXES)
    const shuffled = random.shuffle(query.items)
    const isTotal = random.chance(0.7)
    const chosen = isTotal ? shuffled : shuffled.slice(0, random.below(shuffled.length) + 1)
    const order: OrderTerm[] = chosen.map((item) => ({
      item: item.id,
      style: style(item),
      suffix: suffix(),
    }))
    const hidden = query.group === undefined && !query.distinct && query.set === undefined
    if (hidden && isTotal && random.chance(0.15) && query.from !== undefined) {
      const sql = this.#expressions.of('int', sourceScope(query.from), 1)
      order.unshift({ sql, suffix: suffix() })
    }
    if (!random.chance(0.6)) return { ...query, order }
    const offset = random.chance(0.3) ? random.below(6) : undefined
    return { ...query, order, limit: random.below(12), offset }
  }

  /** DISTINCT ON one output, with ORDER BY over all of them to say which row it is. */
  #distinctOn(query: GeneratedQuery): GeneratedQuery {
    const [first] = query.items
    if (first === undefined || query.set !== undefined || query.distinct) return query
    const order = query.items.map((item): OrderTerm => ({
      item: item.id,
      style: 'ordinal',
      suffix: this.#random.pick(SUFFIXES),
    }))
    return { ...query, distinctOn: [first.sql], order }
  }

  #relation(): Relation {
    if (this.#ctes.length > 0 && this.#random.chance(0.5)) return this.#random.pick(this.#ctes)
    const relation = this.#random.pick(WEIGHTED)
    // A CTE hides the table of its name.
    return this.#ctes.find((c) => c.name === relation.name) ?? relation
  }
}

/** Scope of a FROM that is one table; else nothing that could be ambiguous. */
function sourceScope(source: Source): Scope {
  if (source.kind !== 'table' || source.columnAliases.length > 0) return []
  const relation = BASE.find((t) => t.name === source.name)
  return relation === undefined ? [] : scopeOf(relation.columns, source.alias ?? source.name)
}

type OrderStyle = 'ordinal' | 'alias' | 'expression'

/** Ways to write an item in ORDER BY that cannot mean another one. */
function sureStyles(item: Item, query: GeneratedQuery): readonly OrderStyle[] {
  const styles: OrderStyle[] = ['ordinal']
  const isPlain = query.set === undefined && query.items.every((i) => i.alias === undefined)
  // A constant there would be a number of a column.
  if (isPlain && !/^[0-9'N(]/.test(item.sql)) styles.push('expression')
  const alias = item.alias?.toLowerCase()
  if (alias === undefined) return styles
  const word = new RegExp(`\\b${alias}\\b`, 'i')
  const isElsewhere = query.items.some((i) => i !== item && word.test(`${i.alias ?? ''} ${i.sql}`))
  return isElsewhere ? styles : [...styles, 'alias']
}
