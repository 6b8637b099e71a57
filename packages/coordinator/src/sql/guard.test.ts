import t from 'tap'
import { SqlFrontEnd } from './front-end.ts'
import { guardQuery } from './guard.ts'
import type { Expression, Join, OrderItem, Query, TableRef } from './ir.ts'
import { mapQuery, type Rewriter } from './testing/walk.ts'
import { lex } from './lexer.ts'
import { prepareText } from './pre-pass.ts'
import { CORPUS } from './testing/corpus.ts'
import { PORTABLE_QUERIES } from './testing/portable-queries.ts'
import { SALES_QUERIES } from './testing/sales-queries.ts'
import { sqlErrorOf } from './testing/sql-error-of.ts'

const frontEnd = await SqlFrontEnd.open()
t.teardown(() => frontEnd.close())

/** A change of meaning; a node that it does not apply to is returned as it is. */
interface Mutation {
  readonly name: string
  readonly expression?: (e: Expression) => Expression
  readonly query?: (q: Query) => Query
  readonly table?: (t: TableRef) => TableRef
}

const flip = (item: OrderItem): OrderItem => ({
  ...item,
  direction: item.direction === 'desc' ? 'asc' : 'desc',
})

const MUTATIONS: readonly Mutation[] = [
  {
    name: 'AND for OR',
    expression: (e) =>
      e.kind === 'conjunction' ? { ...e, operator: e.operator === 'and' ? 'or' : 'and' } : e,
  },
  {
    name: 'a term of AND or OR is lost',
    expression: (e) =>
      e.kind === 'conjunction' && e.operands.length > 2
        ? { ...e, operands: e.operands.slice(1) }
        : e,
  },
  {
    name: 'operands are re-associated',
    expression(e) {
      const [left, right] = e.kind === 'function' && e.operator ? e.args : []
      if (e.kind !== 'function' || left?.kind !== 'function' || right === undefined) return e
      const [a, b] = left.args
      if (!left.operator || a === undefined || b === undefined || e.args.length !== 2) return e
      return { ...left, args: [a, { ...e, args: [b, right] }] }
    },
  },
  {
    name: '<= for <',
    expression: (e) =>
      e.kind === 'comparison' && e.operator === '<' ? { ...e, operator: '<=' } : e,
  },
  {
    name: '<> for =',
    expression: (e) =>
      e.kind === 'comparison' && e.operator === '=' ? { ...e, operator: '<>' } : e,
  },
  {
    name: 'sides of a comparison are swapped',
    expression: (e) =>
      e.kind === 'comparison' && JSON.stringify(e.left) !== JSON.stringify(e.right)
        ? { ...e, left: e.right, right: e.left }
        : e,
  },
  { name: 'NOT is lost', expression: (e) => (e.kind === 'not' ? e.operand : e) },
  {
    name: 'IN is negated',
    expression: (e) => (e.kind === 'in' || e.kind === 'isNull' ? { ...e, negated: !e.negated } : e),
  },
  {
    name: 'another number',
    expression: (e) =>
      e.kind === 'constant' &&
      typeof e.value === 'string' &&
      /\d$/.test(e.value) &&
      e.type.kind === 'simple'
        ? { ...e, value: `${e.value}1` }
        : e,
  },
  {
    name: 'another text',
    expression: (e) =>
      e.kind === 'constant' && e.type.kind === 'simple' && e.type.name === 'VARCHAR'
        ? { ...e, value: `${e.value} ` }
        : e,
  },
  {
    name: 'another truth value',
    expression: (e) =>
      e.kind === 'constant' && typeof e.value === 'boolean' ? { ...e, value: !e.value } : e,
  },
  {
    name: 'another type of a literal',
    expression: (e) =>
      e.kind === 'constant' && e.type.kind === 'decimal'
        ? { ...e, type: { ...e.type, width: e.type.width + 1 } }
        : e,
  },
  { name: 'CAST for TRY_CAST', expression: (e) => (e.kind === 'cast' ? { ...e, try: !e.try } : e) },
  {
    name: 'DISTINCT of an aggregate is lost',
    expression: (e) =>
      (e.kind === 'function' || e.kind === 'window') && e.distinct ? { ...e, distinct: false } : e,
  },
  {
    name: 'FILTER is lost',
    expression: (e) =>
      (e.kind === 'function' || e.kind === 'window') && e.filter !== undefined
        ? { ...e, filter: undefined }
        : e,
  },
  {
    name: 'another column',
    expression: (e) => (e.kind === 'column' ? { ...e, path: [...e.path, 'x'] } : e),
  },
  {
    name: 'another unit',
    expression: (e) =>
      e.kind === 'interval' ? { ...e, unit: e.unit === 'month' ? 'minute' : 'month' } : e,
  },
  {
    name: 'branches of CASE are swapped',
    expression(e) {
      const [first] = e.kind === 'case' ? e.branches : []
      if (e.kind !== 'case' || first === undefined) return e
      return { ...e, branches: [{ when: first.when, then: e.else }], else: first.then }
    },
  },
  {
    name: 'PARTITION BY is lost',
    expression: (e) =>
      e.kind === 'window' && e.partitionBy.length > 0 ? { ...e, partitionBy: [] } : e,
  },
  {
    name: 'a frame is lost',
    expression: (e) =>
      e.kind === 'window' && e.frame !== undefined ? { ...e, frame: undefined } : e,
  },
  {
    name: 'IGNORE NULLS is turned',
    expression: (e) => (e.kind === 'window' ? { ...e, ignoreNulls: !e.ignoreNulls } : e),
  },
  {
    name: 'EXCLUDE of a star is lost',
    expression: (e) => (e.kind === 'star' && e.exclude.length > 0 ? { ...e, exclude: [] } : e),
  },
  {
    name: 'SELECT DISTINCT is turned',
    query: (q) =>
      q.kind === 'select' && q.from?.kind !== 'values'
        ? { ...q, distinct: q.distinct === undefined ? { on: [] } : undefined }
        : q,
  },
  {
    name: 'WHERE is lost',
    query: (q) => (q.kind === 'select' && q.where ? { ...q, where: undefined } : q),
  },
  {
    name: 'HAVING is lost',
    query: (q) => (q.kind === 'select' && q.having ? { ...q, having: undefined } : q),
  },
  { name: 'LIMIT is lost', query: (q) => (q.limit === undefined ? q : { ...q, limit: undefined }) },
  {
    name: 'the direction of ORDER BY is turned',
    query: (q) => (q.orderBy.length === 0 ? q : { ...q, orderBy: q.orderBy.map(flip) }),
  },
  {
    name: 'NULLS FIRST is added',
    query: (q) =>
      q.orderBy.some((o) => o.nulls !== 'first')
        ? { ...q, orderBy: q.orderBy.map((o) => ({ ...o, nulls: 'first' as const })) }
        : q,
  },
  {
    name: 'a grouping set is lost',
    query: (q) =>
      q.kind === 'select' && q.groupBy !== undefined && q.groupBy.sets.length > 1
        ? { ...q, groupBy: { ...q.groupBy, sets: q.groupBy.sets.slice(1) } }
        : q,
  },
  {
    name: 'ALL of a set operation is turned',
    query: (q) => (q.kind === 'setOperation' ? { ...q, all: !q.all } : q),
  },
  {
    name: 'sides of a set operation are swapped',
    query: (q) =>
      q.kind === 'setOperation' && JSON.stringify(q.left) !== JSON.stringify(q.right)
        ? { ...q, left: q.right, right: q.left }
        : q,
  },
  {
    name: 'a select item is lost',
    query: (q) =>
      q.kind === 'select' && q.items.length > 1 ? { ...q, items: q.items.slice(1) } : q,
  },
  {
    name: 'another kind of join',
    table: (r) => (r.kind === 'join' && r.form === 'regular' ? { ...r, type: nextType(r) } : r),
  },
  {
    name: 'tables of a join are swapped',
    table: (r) => (r.kind === 'join' ? { ...r, left: r.right, right: r.left } : r),
  },
  {
    name: 'another table',
    table: (r) => (r.kind === 'table' ? { ...r, table: `${r.table}_x` } : r),
  },
  {
    name: 'another alias',
    table: (r) =>
      r.alias !== undefined && r.kind !== 'values' ? { ...r, alias: `${r.alias}_x` } : r,
  },
]

const nextType = (join: Join): Join['type'] => (join.type === 'left' ? 'inner' : 'left')

/** Applies `f` to the `n`-th node that it changes, and to no other. */
function onceAt<T>(
  f: ((node: T) => T) | undefined,
  n: number,
  hit: () => void,
): ((node: T) => T) | undefined {
  if (f === undefined) return undefined
  let seen = 0
  return (node) => {
    const changed = f(node)
    if (changed === node || seen++ !== n) return node
    hit()
    return changed
  }
}

/** The query with the mutation at its `n`-th place; undefined when it has fewer. */
function mutate(query: Query, mutation: Mutation, n: number): Query | undefined {
  let isHit = false
  const hit = (): void => {
    isHit = true
  }
  const expression = onceAt(mutation.expression, n, hit)
  const onQuery = onceAt(mutation.query, n, hit)
  const table = onceAt(mutation.table, n, hit)
  const rewriter: Rewriter = {
    ...(expression && { expression }),
    ...(onQuery && { query: onQuery }),
    ...(table && { table }),
  }
  const mutated = mapQuery(query, rewriter)
  return isHit ? mutated : undefined
}

const PLACES_MAX = 4

const read = await Promise.all(
  [...CORPUS, ...SALES_QUERIES, ...PORTABLE_QUERIES].map(async ({ name, sql }) => {
    const { query } = await frontEnd.parseQuery(sql)
    const { sql: text } = prepareText({ script: sql, tokens: lex(sql) }, 'ansi')
    return { name, query, serialized: await frontEnd.parser.serialize(text) }
  }),
)

for (const mutation of MUTATIONS) {
  await t.test(`the guard refuses a tree in which ${mutation.name}`, async (t) => {
    let refused = 0
    for (const { name, query, serialized } of read) {
      for (let n = 0; n < PLACES_MAX; n++) {
        const mutated = mutate(query, mutation, n)
        if (mutated === undefined) break
        const error = await sqlErrorOf(() =>
          guardQuery(mutated, serialized, (sql) => frontEnd.parser.serialize(sql)),
        )
        if (error.error !== 'internal_error') t.fail(`${name}, place ${n}: ${error.message}`)
        refused += 1
      }
    }
    t.ok(refused > 0, `${refused} mutated trees are refused`)
  })
}

await t.test('the guard accepts each tree as it was read', async (t) => {
  for (const { name, query, serialized } of read) {
    const sql = await guardQuery(query, serialized, (text) => frontEnd.parser.serialize(text))
    t.ok(sql.length > 0, name)
  }
})
