import type { Prng } from '@nyala/client/base'
import { Expressions } from './expressions.ts'
import {
  type GeneratedQuery,
  type Grouping,
  type Item,
  type ItemKind,
  type JoinType,
  type OrderTerm,
  plainQuery,
  quoteName,
  type ScopeColumn,
  type Source,
} from './query.ts'
import { allColumns, type Kind, TABLES, VIEWS } from './tables.ts'

interface Scoped {
  readonly source: Source
  readonly scope: readonly ScopeColumn[]
}

interface Relation {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly kind: ItemKind }[]
}

const BASE: readonly Relation[] = TABLES.map((t) => ({ name: t.name, columns: allColumns(t) }))
/** Often the tables that are large enough to be divided in interesting ways. */
const WEIGHTED: readonly Relation[] = [
  ...BASE,
  ...BASE.filter((t) => ['events', 'sales', 'drift'].includes(t.name)),
  ...BASE.filter((t) => ['events', 'sales'].includes(t.name)),
  ...VIEWS,
]

const JOIN_TYPES: readonly JoinType[] = [
  'inner',
  'inner',
  'inner',
  'left',
  'left',
  'right',
  'full',
  'semi',
  'anti',
]
const SUFFIXES = ['', '', 'DESC', 'ASC', 'NULLS FIRST', 'DESC NULLS LAST']
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
  #names = 0
  #ids = 0
  #ctes: Relation[] = []

  constructor(random: Prng) {
    this.#random = random
    this.#expressions = new Expressions(random, {
      table: () => {
        const relation = this.#relation()
        const alias = `s${++this.#names}`
        const scope = relation.columns.map((c) => ({ name: c.name, kind: c.kind, source: alias }))
        return { text: `${relation.name} AS ${alias}`, scope }
      },
    })
  }

  query(): GeneratedQuery {
    const random = this.#random
    const ctes: { name: string; query: GeneratedQuery }[] = []
    while (random.chance(0.15) && ctes.length < 2) {
      const name = random.chance(0.2) ? random.pick(BASE).name : `w${ctes.length}`
      if (ctes.some((c) => c.name === name)) break
      const query = named(this.#select(0))
      ctes.push({ name, query })
      this.#ctes = [
        ...this.#ctes.filter((c) => c.name !== name),
        { name, columns: outputColumns(query) },
      ]
    }
    const body = random.chance(0.05) ? this.#setOperation() : this.#select(1)
    return this.#withOrder({ ...body, ctes })
  }

  #select(depth: number): GeneratedQuery {
    const random = this.#random
    const { source, scope } = this.#from(depth)
    const where: string[] = []
    while (random.chance(0.45) && where.length < 3) where.push(this.#expressions.bool(scope, 2))
    const shape = random.below(10)
    const base = { from: source, where }
    if (shape < 5) return { ...this.#grouped(scope), ...base }
    const items = this.#items(scope, shape === 9)
    return plainQuery({ ...base, items, distinct: random.chance(0.3) })
  }

  #setOperation(): GeneratedQuery {
    const kinds = Array.from({ length: this.#random.below(3) + 1 }, () => this.#expressions.kind())
    const side = (): GeneratedQuery => {
      const { source, scope } = this.#from(0)
      const items = kinds.map((kind) => this.#item(this.#expressions.of(kind, scope, 1), kind))
      return plainQuery({ from: source, items })
    }
    return { ...side(), set: { operator: this.#random.pick(SET_OPERATORS), right: side() } }
  }

  // -------------------------------------------------------------------------------------------
  // Outputs

  #item(sql: string, kind: ItemKind, aliasChance = 0.4): Item {
    const alias = this.#random.chance(aliasChance) ? this.#random.pick(ALIASES) : undefined
    return { id: ++this.#ids, sql, kind, alias }
  }

  #items(scope: readonly ScopeColumn[], withWindows: boolean): readonly Item[] {
    const random = this.#random
    const items: Item[] = []
    const count = random.below(4) + 1
    for (let i = 0; i < count; i++) {
      const roll = random.below(20)
      if (withWindows && i === 0) items.push(this.#window(scope))
      else if (roll < 8) {
        const column = this.#expressions.anyColumn(scope)
        items.push(this.#item(column.sql, column.kind, 0.2))
      } else if (roll === 8) {
        items.push(this.#item(this.#expressions.scalarSubquery(scope), 'other'))
      } else if (roll === 9) items.push(this.#item(this.#expressions.exotic(scope), 'other'))
      else {
        const kind = this.#expressions.kind()
        items.push(this.#item(this.#expressions.of(kind, scope, 2), kind))
      }
    }
    return items
  }

  #window(scope: readonly ScopeColumn[]): Item {
    const random = this.#random
    const by = this.#expressions.anyColumn(scope).sql
    const partition = random.chance(0.6)
      ? `PARTITION BY ${this.#expressions.anyColumn(scope).sql} `
      : ''
    const call = random.pick([
      'rank()',
      'dense_rank()',
      'count(*)',
      `max(${by})`,
      `first_value(${by})`,
    ])
    return this.#item(`${call} OVER (${partition}ORDER BY ${by})`, 'other')
  }

  #grouped(scope: readonly ScopeColumn[]): GeneratedQuery {
    const random = this.#random
    const keys: Item[] = []
    const count = random.pick([0, 1, 1, 1, 2, 2, 3])
    for (let i = 0; i < count; i++) {
      const roll = random.below(10)
      if (roll < 6) {
        const column = this.#expressions.anyColumn(scope)
        keys.push(this.#item(column.sql, column.kind))
      } else if (roll === 6) keys.push(this.#item(this.#expressions.exotic(scope), 'other'))
      else {
        const kind = this.#expressions.kind()
        keys.push(this.#item(this.#expressions.of(kind, scope, 2), kind))
      }
    }
    const items = [...keys.filter(() => !random.chance(0.15))]
    const aggregates = random.below(3) + (items.length === 0 ? 1 : 0)
    for (let i = 0; i < aggregates; i++) {
      items.splice(random.below(items.length + 1), 0, this.#aggregateItem(scope, keys))
    }
    if (items.length === 0) items.push(this.#aggregateItem(scope, keys))
    const having: string[] = []
    if (random.chance(0.25)) having.push(this.#having(scope, keys))
    const group = keys.length === 0 ? undefined : this.#grouping(keys, items)
    const hidden = keys.filter((key) => !items.includes(key))
    return plainQuery({
      items,
      group: group === undefined ? undefined : { ...group, extra: hidden.map((h) => h.sql) },
      having,
      distinct: random.chance(0.08),
    })
  }

  #grouping(keys: readonly Item[], items: readonly Item[]): Grouping {
    const shown = keys.filter((key) => items.includes(key))
    const style = this.#random.pick(['expressions', 'expressions', 'ordinals', 'aliases'] as const)
    const isAll = shown.length === keys.length && this.#random.chance(0.15)
    return { style: isAll ? 'all' : style, keys: shown.map((key) => key.id), extra: [] }
  }

  #aggregateItem(scope: readonly ScopeColumn[], keys: readonly Item[]): Item {
    const random = this.#random
    const one = this.#aggregate(scope)
    const roll = random.below(12)
    if (roll === 0) return this.#item(`${this.#aggregate(scope, 'int').sql} + count(*)`, 'other')
    if (roll === 1) return this.#item(`CASE WHEN count(*) > 2 THEN ${one.sql} END`, one.kind)
    if (roll === 2)
      return this.#item(`coalesce(sum(${this.#expressions.of('decimal', scope, 1)}), 0)`, 'other')
    const int = keys.find((key) => key.kind === 'int')
    if (roll === 3 && int !== undefined) return this.#item(`${int.sql} + count(*)`, 'int')
    if (roll === 4) return this.#item(`sum(count(*)) OVER ()`, 'other')
    return this.#item(one.sql, one.kind)
  }

  #aggregate(
    scope: readonly ScopeColumn[],
    wanted?: Kind,
  ): { readonly sql: string; readonly kind: ItemKind } {
    const random = this.#random
    const e = this.#expressions
    const filter = random.chance(0.2) ? ` FILTER (WHERE ${e.bool(scope, 1)})` : ''
    const distinct = random.chance(0.1) ? 'DISTINCT ' : ''
    const numeric = random.pick(['int', 'int', 'big', 'decimal', 'wide', 'double'] as const)
    const any = wanted ?? e.kind()
    const other = (sql: string): { sql: string; kind: ItemKind } => ({
      sql: `${sql}${filter}`,
      kind: 'other',
    })
    switch (wanted === undefined ? random.below(14) : random.below(3)) {
      case 0:
        return { sql: `count(*)${filter}`, kind: 'int' }
      case 1:
        return { sql: `count(${distinct}${e.of(any, scope, 1)})${filter}`, kind: 'int' }
      case 2:
        return { sql: `${random.pick(['min', 'max'])}(${e.of(any, scope, 1)})${filter}`, kind: any }
      case 3:
      case 4:
        return other(`sum(${distinct}${e.of(numeric, scope, 1)})`)
      case 5:
        return other(`avg(${e.of(numeric, scope, 1)})`)
      case 6:
        return other(`${random.pick(['bool_and', 'bool_or'])}(${e.bool(scope, 1)})`)
      case 7:
        return other(
          `${random.pick(['bit_and', 'bit_or', 'bit_xor'])}(${e.column('int', scope) ?? '5'})`,
        )
      case 8: {
        const text = e.of('text', scope, 0)
        return other(`string_agg(${text}, ',' ORDER BY ${text})`)
      }
      case 9:
        return other(`count_if(${e.bool(scope, 1)})`)
      case 10:
        return other(`${random.pick(['min', 'max'])}(${e.exotic(scope)})`)
      case 11:
        return other(
          `${random.pick(['stddev', 'median', 'approx_count_distinct'])}(${e.of('int', scope, 0)})`,
        )
      case 12:
        return other(`avg(${e.of(random.pick(['date', 'timestamp'] as const), scope, 0)})`)
      default:
        return {
          sql: `${random.pick(['max', 'min'])}(${e.anyColumn(scope).sql})${filter}`,
          kind: 'other',
        }
    }
  }

  #having(scope: readonly ScopeColumn[], keys: readonly Item[]): string {
    const random = this.#random
    const key = keys.length > 0 && random.chance(0.4) ? random.pick(keys) : undefined
    if (key !== undefined) {
      const name = key.alias !== undefined && random.chance(0.5) ? quoteName(key.alias) : key.sql
      return `${name} IS NOT NULL`
    }
    return `${this.#aggregate(scope, 'int').sql} ${random.pick(['>', '<', '<>'])} ${random.below(6)}`
  }

  // -------------------------------------------------------------------------------------------
  // ORDER BY and LIMIT

  #withOrder(query: GeneratedQuery): GeneratedQuery {
    const random = this.#random
    if (!random.chance(0.5)) return query
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

  // -------------------------------------------------------------------------------------------
  // FROM

  #relation(): Relation {
    if (this.#ctes.length > 0 && this.#random.chance(0.5)) return this.#random.pick(this.#ctes)
    return this.#random.pick(WEIGHTED)
  }

  #from(depth: number): Scoped {
    const random = this.#random
    let made = this.#source(depth)
    const joins = random.pick(depth > 0 ? [0, 0, 0, 0, 1, 1, 1, 2, 3] : [0, 0, 1])
    for (let i = 0; i < joins; i++) made = this.#join(made, this.#source(depth), depth)
    return made
  }

  #source(depth: number): Scoped {
    const random = this.#random
    if (depth > 0 && random.chance(0.15)) {
      const query = named(this.#select(depth - 1))
      const alias = `q${++this.#names}`
      return {
        source: { kind: 'subquery', query, alias, lateral: false },
        scope: scopeOf(outputColumns(query), alias),
      }
    }
    const relation = this.#relation()
    const alias = `t${++this.#names}`
    const names = relation.columns.map((c) => c.name)
    let columnAliases: readonly string[] = []
    // A rotation gives each column the name of another, so that whoever looks at names alone is wrong.
    if (random.chance(0.06)) columnAliases = [...names.slice(1), ...names.slice(0, 1)]
    else if (random.chance(0.04)) columnAliases = ['c1', 'c2']
    const columns = relation.columns.map((c, i) => ({ ...c, name: columnAliases[i] ?? c.name }))
    return {
      source: { kind: 'table', name: relation.name, alias, columnAliases },
      scope: scopeOf(columns, alias),
    }
  }

  #join(left: Scoped, right: Scoped, depth: number): Scoped {
    const random = this.#random
    const type = random.pick(JOIN_TYPES)
    const scope =
      type === 'semi' || type === 'anti' ? left.scope : unmerged([...left.scope, ...right.scope])
    const both = unmerged([...left.scope, ...right.scope])
    const join = (parts: Partial<Extract<Source, { kind: 'join' }>>): Source => ({
      kind: 'join',
      type,
      form: 'on',
      left: left.source,
      right: right.source,
      on: [],
      using: [],
      ...parts,
    })
    const common = sharedNames(left.scope, right.scope)
    const equal = this.#equality(left.scope, right.scope)
    if (common.includes('k') && random.chance(0.12)) {
      const merged = [...scope, { name: 'k', kind: 'int' as const }]
      return { source: join({ form: 'using', using: ['k'] }), scope: withoutNames(merged, ['k']) }
    }
    if (common.length > 0 && isComparable(left.scope, right.scope) && random.chance(0.03)) {
      return { source: join({ form: 'natural' }), scope: withoutNames(scope, common) }
    }
    if (equal === undefined) return { source: join({ form: 'cross', type: 'inner' }), scope: both }
    if (depth > 0 && random.chance(0.06) && type !== 'semi' && type !== 'anti') {
      return this.#lateral(left)
    }
    const on = [equal]
    if (random.chance(0.25)) on.push(this.#expressions.bool(both, 1))
    return { source: join({ on }), scope }
  }

  #lateral(left: Scoped): Scoped {
    const inner = this.#source(0)
    const equal = this.#equality(inner.scope, left.scope)
    const items = this.#items(inner.scope, false).slice(0, 2)
    const alias = `q${++this.#names}`
    const query = named(
      plainQuery({ items, from: inner.source, where: equal === undefined ? [] : [equal] }),
    )
    return {
      source: {
        kind: 'join',
        type: this.#random.pick(['inner', 'left'] as const),
        form: 'on',
        left: left.source,
        right: { kind: 'subquery', query, alias, lateral: true },
        on: [],
        using: [],
      },
      scope: [...left.scope, ...scopeOf(outputColumns(query), alias)],
    }
  }

  #equality(left: readonly ScopeColumn[], right: readonly ScopeColumn[]): string | undefined {
    const keys = (scope: readonly ScopeColumn[]): readonly ScopeColumn[] => {
      const ints = scope.filter((c) => c.kind === 'int' && c.source !== undefined)
      const selective = ints.filter((c) => c.name === 'id' || c.name === 'k' || c.name === 'key')
      return selective.length > 0 ? selective : ints
    }
    const [a, b] = [keys(left), keys(right)]
    if (a.length === 0 || b.length === 0) return undefined
    const [x, y] = [this.#random.pick(a), this.#random.pick(b)]
    return `${x.source}.${quoteName(x.name)} = ${y.source}.${quoteName(y.name)}`
  }
}

const scopeOf = (
  columns: readonly { readonly name: string; readonly kind: ItemKind }[],
  source: string,
): readonly ScopeColumn[] => columns.map(({ name, kind }) => ({ name, kind, source }))

/** The query with an alias for each column that would be hard to write by the name that it has. */
const named = (query: GeneratedQuery): GeneratedQuery => ({
  ...query,
  items: query.items.map((item, i) =>
    item.alias === undefined && nameOf(item) === undefined ? { ...item, alias: `u${i}` } : item,
  ),
})

/** The name of an output column that is an alias or a column; undefined for an expression. */
function nameOf(item: Item): string | undefined {
  if (item.alias !== undefined) return item.alias
  const column = /^(?:[a-z]\w*\.)?(?:"(\w+)"|([A-Za-z_]\w*))$/.exec(item.sql)
  const name = column?.[1] ?? column?.[2]
  return name === undefined || /^(true|false|null)$/i.test(name) ? undefined : name
}

/** The columns that a query gives to whoever reads from it: those with a name that can be written. */
const outputColumns = (
  query: GeneratedQuery,
): readonly { readonly name: string; readonly kind: ItemKind }[] => {
  const columns = query.items.flatMap((item) => {
    const name = nameOf(item)
    return name === undefined ? [] : [{ name, kind: item.kind }]
  })
  const fold = (name: string): string => name.toLowerCase()
  return columns.filter((c) => columns.filter((d) => fold(d.name) === fold(c.name)).length === 1)
}

const sharedNames = (
  left: readonly ScopeColumn[],
  right: readonly ScopeColumn[],
): readonly string[] => [
  ...new Set(left.map((c) => c.name).filter((name) => right.some((d) => d.name === name))),
]

/** False where NATURAL would compare columns of one name and different kinds. */
const isComparable = (left: readonly ScopeColumn[], right: readonly ScopeColumn[]): boolean =>
  left.every((c) =>
    right.every((d) => c.name.toLowerCase() !== d.name.toLowerCase() || c.kind === d.kind),
  )

/** Without merged columns that another source has too: their name alone would be ambiguous. */
const unmerged = (scope: readonly ScopeColumn[]): readonly ScopeColumn[] =>
  scope.filter((c) => c.source !== undefined || scope.filter((d) => d.name === c.name).length === 1)

/** A column that USING merged is known by its name alone. */
const withoutNames = (
  scope: readonly ScopeColumn[],
  names: readonly string[],
): readonly ScopeColumn[] => scope.filter((c) => c.source === undefined || !names.includes(c.name))

/** Scope of a FROM that is one table; else nothing that could be ambiguous. */
function sourceScope(source: Source): readonly ScopeColumn[] {
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
