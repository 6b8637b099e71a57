import type { Prng } from '@nyala/client/base'
import type { Expressions } from './expressions.ts'
import {
  type GeneratedQuery,
  type JoinType,
  quoteName,
  type ScopeColumn,
  type Source,
} from './query.ts'
import {
  isComparable,
  named,
  outputColumns,
  type Relation,
  type Scoped,
  scopeOf,
  sharedNames,
  unmerged,
  withoutNames,
} from './scope.ts'
import type { Kind } from './tables.ts'

type Scope = readonly ScopeColumn[]
type Join = Extract<Source, { kind: 'join' }>

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
/** A join that would have more rows than this is not made. */
const JOIN_ROWS_MAX = 15_000
/** The part of all pairs that have equal keys, of which one is in many rows. */
const KEY_MATCHES = 0.06
const KEY_MATCHES_HEAVY = 0.4
const ROWS_OF_ALL = { tables: [0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 5], inner: [0, 0, 1] }

export interface FromContext {
  relation(): Relation
  name(prefix: string): string
  /** A query to read from. */
  query(depth: number): { readonly query: GeneratedQuery; readonly rows: number }
  /** A query over one source, of one or two items. */
  lateral(inner: Scoped, outer: Scope): GeneratedQuery
}

/** Random FROM clauses: tables, views, CTEs, subqueries, constant rows, and joins of up to six of them. */
export class From {
  readonly #random: Prng
  readonly #expressions: Expressions
  readonly #context: FromContext

  constructor(random: Prng, expressions: Expressions, context: FromContext) {
    this.#random = random
    this.#expressions = expressions
    this.#context = context
  }

  from(depth: number): Scoped {
    const random = this.#random
    let made = this.source(depth)
    const joins = random.pick(depth > 0 ? ROWS_OF_ALL.tables : ROWS_OF_ALL.inner)
    for (let i = 0; i < joins; i++) {
      const left = made
      const [a, b] = random.chance(0.1) ? [this.#joined(depth), left] : [left, this.source(depth)]
      made = this.#join(a, b, depth) ?? made
    }
    return made
  }

  /** A table, or a join of two. */
  #joined(depth: number): Scoped {
    const left = this.source(depth)
    return this.#join(left, this.source(depth), 0) ?? left
  }

  source(depth: number): Scoped {
    const random = this.#random
    if (depth > 0 && random.chance(0.15)) {
      const { query, rows } = this.#context.query(depth - 1)
      const alias = this.#context.name('q')
      const source: Source = { kind: 'subquery', query, alias, lateral: false }
      return { source, scope: scopeOf(outputColumns(query), alias), unique: undefined, rows }
    }
    if (random.chance(0.06)) return this.#rows()
    const relation = this.#context.relation()
    const alias = this.#context.name('t')
    const names = relation.columns.map((c) => c.name)
    let columnAliases: readonly string[] = []
    // A rotation gives each column the name of another, so that whoever looks at names alone is wrong.
    if (random.chance(0.06)) columnAliases = [...names.slice(1), ...names.slice(0, 1)]
    else if (random.chance(0.04)) columnAliases = ['c1', 'c2']
    const columns = relation.columns.map((c, i) => ({ ...c, name: columnAliases[i] ?? c.name }))
    const isKeyed = columnAliases.length === 0 && relation.isKeyed === true
    return {
      source: { kind: 'table', name: relation.name, alias, columnAliases },
      scope: scopeOf(columns, alias),
      unique: isKeyed ? [`${alias}.id`] : undefined,
      rows: relation.rows,
    }
  }

  /** Rows out of the text of the query. */
  #rows(): Scoped {
    const random = this.#random
    const name = this.#context.name('v')
    const columns = [
      { name: 'k', kind: 'int' as const },
      { name: 'name', kind: 'text' as const },
    ]
    if (random.chance(0.4)) {
      const sql = `unnest([1, NULL, 2, ${random.below(9)}, 1])`
      return this.#rowsOf(sql, `${name}(k)`, scopeOf(columns.slice(0, 1), name))
    }
    const tuples = Array.from({ length: random.below(4) + 1 }, (_, i) => {
      const k = random.chance(0.2) ? 'NULL' : String(i)
      return `(CAST(${k} AS INTEGER), ${random.chance(0.2) ? 'NULL' : this.#expressions.literal('text')})`
    })
    return this.#rowsOf(`(VALUES ${tuples.join(', ')})`, `${name}(k, name)`, scopeOf(columns, name))
  }

  #rowsOf(sql: string, alias: string, scope: Scope): Scoped {
    return { source: { kind: 'rows', sql, alias }, scope, unique: undefined, rows: 5 }
  }

  // -------------------------------------------------------------------------------------------
  // Joins

  /** Undefined where it would have too many rows. */
  #join(left: Scoped, right: Scoped, depth: number): Scoped | undefined {
    const random = this.#random
    const joining = joiningOf(left, right, random.pick(JOIN_TYPES))
    const { type, scope, both, unique, pairs, source } = joining
    const isOneSided = type === 'semi' || type === 'anti'
    const matches = pairs * (isHeavy(left) && isHeavy(right) ? KEY_MATCHES_HEAVY : KEY_MATCHES)
    const rows = isOneSided ? left.rows : Math.max(matches, left.rows, right.rows)
    const common = sharedNames(left.scope, right.scope)
    if (rows <= JOIN_ROWS_MAX && haveOneKind(left, right, 'k') && random.chance(0.12)) {
      const merged = [...scope, { name: 'k', kind: 'int' as const }]
      const using = source({ form: 'using', using: ['k'] })
      return { source: using, scope: withoutNames(merged, ['k']), unique, rows }
    }
    if (common.length > 0 && isComparable(left.scope, right.scope) && random.chance(0.03)) {
      const natural = source({ form: 'natural' })
      const own = withoutNames(scope, common)
      return { source: natural, scope: own, unique: undefined, rows: left.rows }
    }
    if (depth > 0 && random.chance(0.06) && !isOneSided) return this.#lateral(left)
    if (pairs <= JOIN_ROWS_MAX && random.chance(0.15)) return this.#anyJoin(joining)
    const isMany = rows > JOIN_ROWS_MAX
    const on = this.#equalities(left, right, isMany)
    if (on === undefined) return undefined
    if (random.chance(0.25)) on.push(this.#expressions.bool(both, 1))
    return { source: source({ on }), scope, unique, rows: isMany ? left.rows + right.rows : rows }
  }

  /** A join by anything but equality. */
  #anyJoin({ left, right, scope, both, unique, pairs, source }: Joining): Scoped {
    const random = this.#random
    const rows = Math.max(pairs, left.rows, right.rows)
    const form = random.pick(['cross', 'comma', 'on', 'on', 'on', 'on'] as const)
    if (form !== 'on') {
      const crossed = together(left.unique, right.unique)
      return { source: source({ form, type: 'inner' }), scope: both, unique: crossed, rows }
    }
    const on = Array.from({ length: random.below(3) }, () =>
      random.chance(0.6)
        ? this.#comparison(left.scope, right.scope)
        : this.#expressions.bool(both, 2),
    )
    return { source: source({ on: on.filter((c) => c !== undefined) }), scope, unique, rows }
  }

  #comparison(left: Scope, right: Scope): string | undefined {
    const random = this.#random
    const kind = random.pick(['int', 'text', 'date', 'decimal'] as const)
    const both = [...left, ...right]
    const [a, b] = [left, right].map((s) => this.#expressions.column(kind, s, both))
    if (a === undefined || b === undefined) return undefined
    return random.chance(0.2)
      ? `${a} BETWEEN ${b} AND ${this.#expressions.column(kind, right, both)}`
      : `${a} ${random.pick(['<', '<=', '>', '>=', '<>', 'IS DISTINCT FROM'])} ${b}`
  }

  /** Conditions that most pairs do not meet: by what tells rows apart, where there are many. */
  #equalities(left: Scoped, right: Scoped, hasMany: boolean): string[] | undefined {
    const random = this.#random
    if (hasMany) {
      const [a, b] = [left.scope, right.scope].map((s) =>
        s.filter((c) => c.name === 'id' && c.kind === 'int' && c.source !== undefined),
      )
      if (a?.[0] === undefined || b?.[0] === undefined) return undefined
      return [equality(random.pick(a), random.pick(b), '=')]
    }
    const keys = (scope: Scope): Scope => {
      const ints = scope.filter((c) => c.kind === 'int' && c.source !== undefined)
      const selective = ints.filter((c) => ['id', 'k', 'key'].includes(c.name))
      return selective.length > 0 ? selective : ints
    }
    const [a, b] = [keys(left.scope), keys(right.scope)]
    if (a.length === 0 || b.length === 0) return undefined
    const operator = random.chance(0.12) ? 'IS NOT DISTINCT FROM' : '='
    const on = [equality(random.pick(a), random.pick(b), operator)]
    if (random.chance(0.12)) on[0] = this.#computed(random.pick(a), random.pick(b))
    while (random.chance(0.25) && on.length < 3)
      on.push(this.#more(left.scope, right.scope) ?? 'true')
    return on
  }

  /** An equality of expressions, or of columns of two types. */
  #computed(a: ScopeColumn, b: ScopeColumn): string {
    const [x, y] = [fullName(a), fullName(b)]
    return this.#random.pick([
      `${x} + 1 = ${y}`,
      `${x} = ${y} - ${this.#random.below(3)}`,
      `CAST(${x} AS DECIMAL(20,1)) = ${y}`,
      `CAST(${x} AS DOUBLE) = ${y}`,
      `CAST(${x} AS VARCHAR) = CAST(${y} AS VARCHAR)`,
      `coalesce(${x}, 0) = coalesce(${y}, 0)`,
      `[${x}] = [${y}]`,
      `(${x}, 1) = (${y}, 1)`,
      `${x} = ${y} OR ${x} = ${y} + 1`,
    ])
  }

  #more(left: Scope, right: Scope): string | undefined {
    const random = this.#random
    const kind = random.pick([
      'int',
      'text',
      'decimal',
      'date',
      'double',
      'bool',
    ] as readonly Kind[])
    const both = [...left, ...right]
    const [a, b] = [left, right].map((s) => this.#expressions.column(kind, s, both))
    if (a === undefined || b === undefined) return undefined
    return `${a} ${random.pick(['=', '=', 'IS NOT DISTINCT FROM', '<=', '<>'])} ${b}`
  }

  #lateral(left: Scoped): Scoped {
    const inner = this.source(0)
    const query = named(this.#context.lateral(inner, left.scope))
    const alias = this.#context.name('q')
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
      unique: undefined,
      rows: Math.max(left.rows * inner.rows * KEY_MATCHES, left.rows),
    }
  }
}

/** Two sides, and what does not depend on how they are joined. */
interface Joining {
  readonly left: Scoped
  readonly right: Scoped
  readonly type: JoinType
  /** Columns of the join, and of both sides, over which its condition is. */
  readonly scope: Scope
  readonly both: Scope
  readonly unique: readonly string[] | undefined
  readonly pairs: number
  readonly source: (parts: Partial<Join>) => Source
}

function joiningOf(left: Scoped, right: Scoped, type: JoinType): Joining {
  const isOneSided = type === 'semi' || type === 'anti'
  const both = unmerged([...left.scope, ...right.scope])
  return {
    left,
    right,
    type,
    scope: isOneSided ? left.scope : both,
    both,
    unique: isOneSided ? left.unique : together(left.unique, right.unique),
    pairs: left.rows * right.rows,
    source: (parts) => ({
      kind: 'join',
      type,
      form: 'on',
      left: left.source,
      right: right.source,
      on: [],
      using: [],
      ...parts,
    }),
  }
}

/** Of a date and a number the kernel says only when it meets rows that they cannot be compared. */
function haveOneKind(left: Scoped, right: Scoped, name: string): boolean {
  const [a, b] = [left, right].map(({ scope }) => scope.filter((c) => c.name === name))
  const all = [...(a ?? []), ...(b ?? [])]
  return a?.length !== 0 && b?.length !== 0 && all.every((c) => c.kind === all[0]?.kind)
}

const fullName = (column: ScopeColumn): string => `${column.source}.${quoteName(column.name)}`

const equality = (a: ScopeColumn, b: ScopeColumn, operator: string): string =>
  `${fullName(a)} ${operator} ${fullName(b)}`

const together = (
  a: readonly string[] | undefined,
  b: readonly string[] | undefined,
): readonly string[] | undefined => (a === undefined || b === undefined ? undefined : [...a, ...b])

/** True where most rows may have one key. */
const isHeavy = (scoped: Scoped): boolean => {
  const names = (source: Source): readonly string[] =>
    source.kind === 'join'
      ? [...names(source.left), ...names(source.right)]
      : source.kind === 'table'
        ? [source.name]
        : [source.kind]
  return names(scoped.source).some((n) => n === 'skew' || n === 'subquery' || /^w\d/.test(n))
}
