import type { Prng } from '@nyala/client/base'
import { type GeneratedQuery, type JoinType, queryText, type Source } from './query.ts'

/** Another way to write a query, or one that has its rows several times over. */
export interface Metamorphosis {
  readonly name: string
  readonly sql: string
  /** How often each row of the query is in the answer. */
  readonly times: number
}

/** How many are tried of each query. */
const TRIED = 2

/** Queries whose rows are those of this one by the meaning of SQL alone. Their columns may have other names. */
export function metamorphosesOf(query: GeneratedQuery, random: Prng): readonly Metamorphosis[] {
  const found = [
    ...ofWhole(query),
    ...ofConditions(query),
    ...ofJoin(query),
    ...ofParts(query, random),
  ]
  return random.shuffle(found).slice(0, TRIED)
}

function ofWhole(query: GeneratedQuery): readonly Metamorphosis[] {
  // The order of rows is lost anyway; with LIMIT it says which rows there are.
  const text = queryText(query.limit === undefined ? { ...query, order: orderKept(query) } : query)
  const all = `SELECT * FROM (${text}) AS w`
  return [
    { name: 'in a subquery', sql: all, times: 1 },
    { name: 'in a CTE', sql: `WITH w AS MATERIALIZED (${text}) SELECT * FROM w`, times: 1 },
    {
      name: 'a CTE used twice',
      sql: `WITH w AS (${text}) SELECT * FROM w UNION ALL SELECT * FROM w`,
      times: 2,
    },
    { name: 'less nothing', sql: `(${text}) EXCEPT ALL (${all} WHERE false)`, times: 1 },
    { name: 'less itself', sql: `(${text}) EXCEPT ALL (${all})`, times: 0 },
    { name: 'with itself', sql: `(${text}) INTERSECT ALL (${all})`, times: 1 },
    { name: 'twice', sql: `(${text}) UNION ALL (${all})`, times: 2 },
  ]
}

/** DISTINCT ON needs its order. */
const orderKept = (query: GeneratedQuery): GeneratedQuery['order'] =>
  query.distinctOn === undefined ? [] : query.order

/** One condition said in another way. */
function ofConditions(query: GeneratedQuery): readonly Metamorphosis[] {
  const [first, ...rest] = query.where
  if (first === undefined) return []
  const ways: readonly (readonly [string, string])[] = [
    ['AND true', `(${first}) AND true`],
    ['OR false', `(${first}) OR false`],
    ['NOT NOT', `NOT (NOT (${first}))`],
    ['IS TRUE', `(${first}) IS TRUE`],
    ['CASE', `CASE WHEN ${first} THEN true ELSE NULL END`],
    ['twice in WHERE', `(${first}) AND (${first})`],
  ]
  return ways.map(([name, condition]) => ({
    name,
    sql: queryText({ ...query, where: [...rest, condition] }),
    times: 1,
  }))
}

/** Joined from the other side. */
function ofJoin(query: GeneratedQuery): readonly Metamorphosis[] {
  const { from } = query
  if (from?.kind !== 'join') return []
  const type = SWAPPED[from.type]
  const isLateral = from.right.kind === 'subquery' && from.right.lateral
  if (type === undefined || isLateral || (from.form !== 'on' && from.form !== 'cross')) return []
  const swapped: Source = { ...from, type, left: from.right, right: from.left }
  return [{ name: 'sides swapped', sql: queryText({ ...query, from: swapped }), times: 1 }]
}

const SWAPPED: Readonly<Partial<Record<JoinType, JoinType>>> = {
  inner: 'inner',
  full: 'full',
  left: 'right',
  right: 'left',
}

/** The rows for which a condition is true, those for which it is false, and those for which it is unknown. */
function ofParts(query: GeneratedQuery, random: Prng): readonly Metamorphosis[] {
  if (query.byRow !== true || query.distinct || query.limit !== undefined) return []
  const conditions = query.items.flatMap(({ sql, kind }) => {
    if (kind === 'int') return [`(${sql}) % 2 = 0`, `(${sql}) < 3`]
    if (kind === 'text') return [`(${sql}) LIKE '%a%'`, `(${sql}) > 'b'`]
    return kind === 'bool' ? [sql] : [`(${sql}) IS NULL`]
  })
  if (conditions.length === 0) return []
  const condition = random.pick(conditions)
  const branches = [condition, `NOT (${condition})`, `(${condition}) IS NULL`].map((part) =>
    queryText({ ...query, order: [], where: [...query.where, part] }),
  )
  const union = branches.map((branch) => `(${branch})`).join(' UNION ALL ')
  return [
    { name: `parts by ${condition}`, sql: union, times: 1 },
    {
      name: `parts by ${condition}, in a subquery`,
      sql: `SELECT * FROM (${union}) AS w`,
      times: 1,
    },
  ]
}
