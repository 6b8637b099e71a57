/**
 * Sizes of joins. Values of the side with fewer distinct ones are contained in the other's, each value has equally many rows:
 * |L ⋈ R| = |L|·|R| / max(d(L), d(R)) (Selinger et al. 1979; Swami & Schiefer 1994), where d counts the values before other
 * columns were filtered: a filter takes away partners, not values that could have been there. Several keys together have at
 * most as many combinations as the smaller of the tables that they come from has rows: a foreign key of two columns is one.
 */
import type { JoinCondition, JoinRelation } from '../logical/relation.ts'
import {
  BOOLEAN_COLUMN,
  type ColumnEstimate,
  type ColumnEstimates,
  estimated,
  type Estimated,
  thinned,
} from './column-estimate.ts'
import { columnName } from '../logical/expressions.ts'
import { compareBounds } from './bounds.ts'
import { estimateExpression } from './expression-estimate.ts'
import { filterBy } from './filter-estimate.ts'

const INEQUALITY = 1 / 3
const UNEQUAL = 0.9
/** That no row is without a partner is never sure enough to say that none is left. */
const ANTI_MIN = 0.05

interface Keys {
  /** Part of all pairs that meet. */
  readonly part: number
  /** Values that the keys could have. */
  readonly domain: number
  /** Values of them that the right side has. */
  readonly distinctRight: number
}

export function estimateJoin(join: JoinRelation, left: Estimated, right: Estimated): Estimated {
  const keys = keysOf(join.conditions, left, right)
  const both = new Map([...left.columns, ...right.columns])
  const pairs = left.rows * right.rows * keys.part
  const met = estimated(pairs, equalKeys(join.conditions, both, { left, right, pairs }))
  const inner = filterBy(met, join.residual)
  switch (join.type) {
    case 'inner':
      return inner
    case 'left':
      return outer(inner, { kept: [left], padded: [right] })
    case 'right':
      return outer(inner, { kept: [right], padded: [left] })
    case 'full':
      return outer(inner, { kept: [left, right], padded: [left, right] })
    case 'semi':
    case 'anti': {
      const found = left.rows * matchedPart(left, keys, inner.rows)
      const rows = join.type === 'semi' ? found : Math.max(left.rows - found, left.rows * ANTI_MIN)
      return estimated(rows, thinned(left.columns, left.rows, rows))
    }
    case 'mark': {
      const columns = new Map(left.columns)
      if (join.mark !== undefined) columns.set(join.mark.name, BOOLEAN_COLUMN)
      return estimated(left.rows, columns)
    }
    case 'single':
      return estimated(left.rows, both)
  }
}

/** The part of the left rows that have a partner: of the values that there are, as many as the right side has. */
function matchedPart(left: Estimated, keys: Keys, pairs: number): number {
  if (left.rows <= 0) return 0
  const partners = pairs / left.rows
  return Math.min(1, keys.distinctRight / Math.max(1, keys.domain), partners)
}

function keysOf(conditions: readonly JoinCondition[], left: Estimated, right: Estimated): Keys {
  let others = 1
  const equal: (readonly [ColumnEstimate, ColumnEstimate])[] = []
  for (const { operator, left: l, right: r } of conditions) {
    const a = estimateExpression(l, left.columns, left.rows)
    const b = estimateExpression(r, right.columns, right.rows)
    const isNullSafe = operator === 'is not distinct from'
    if (operator === '=' || isNullSafe) {
      equal.push([a, b])
      if (!isNullSafe) others *= (1 - a.nulls) * (1 - b.nulls)
    } else others *= operator === '<>' || operator === 'is distinct from' ? UNEQUAL : INEQUALITY
  }
  if (equal.length === 0)
    return { part: others, domain: 1, distinctRight: Number.POSITIVE_INFINITY }
  const domain = domainSize(equal)
  const distinct = equal.reduce((product, [, b]) => product * Math.max(1, b.distinct), 1)
  const distinctRight = Math.min(distinct, Math.max(1, right.rows))
  return { part: others / domain, domain, distinctRight }
}

/** How many values, or combinations of values, equal keys could have. */
function domainSize(equal: readonly (readonly [ColumnEstimate, ColumnEstimate])[]): number {
  const single = equal.map(([a, b]) => Math.max(1, a.base, b.base, a.distinct, b.distinct))
  const product = single.reduce((a, b) => a * b, 1)
  if (equal.length === 1) return product
  const rowsOf = (side: 0 | 1): number => Math.max(...equal.map((pair) => pair[side].baseRows))
  const rows = Math.min(rowsOf(0), rowsOf(1))
  return Math.max(Math.min(product, rows), ...single)
}

/** Columns of the pairs: keys that are equal have the values that both sides have. */
function equalKeys(
  conditions: readonly JoinCondition[],
  columns: ColumnEstimates,
  of: { readonly left: Estimated; readonly right: Estimated; readonly pairs: number },
): ColumnEstimates {
  const found = new Map([
    ...thinned(of.left.columns, of.left.rows, of.pairs),
    ...thinned(of.right.columns, of.right.rows, of.pairs),
  ])
  for (const { operator, left, right } of conditions) {
    if (operator !== '=') continue
    const [a, b] = [columnName(left), columnName(right)]
    const l = a === undefined ? undefined : columns.get(a)
    const r = b === undefined ? undefined : columns.get(b)
    if (a === undefined || b === undefined || l === undefined || r === undefined) continue
    const shared = intersection(l, r, of.pairs)
    found.set(a, { ...l, ...shared })
    found.set(b, { ...r, ...shared })
  }
  return found
}

function intersection(
  a: ColumnEstimate,
  b: ColumnEstimate,
  rows: number,
): Pick<ColumnEstimate, 'distinct' | 'base' | 'nulls' | 'min' | 'max'> {
  const distinct = Math.max(Math.min(1, rows), Math.min(a.distinct, b.distinct, rows))
  const base = Math.max(a.base, b.base)
  const comparable = typeof a.min === typeof b.min && typeof a.max === typeof b.max
  const min =
    a.min === undefined || b.min === undefined || !comparable
      ? undefined
      : compareBounds(a.min, b.min) > 0
        ? a.min
        : b.min
  const max =
    a.max === undefined || b.max === undefined || !comparable
      ? undefined
      : compareBounds(a.max, b.max) < 0
        ? a.max
        : b.max
  return { distinct, base, nulls: 0, min, max }
}

/** Rows of the sides that are kept, each at least once; what they have no partner for is NULL. */
function outer(
  inner: Estimated,
  sides: { readonly kept: readonly Estimated[]; readonly padded: readonly Estimated[] },
): Estimated {
  let rows = inner.rows
  for (const side of sides.kept) rows = Math.max(rows, side.rows)
  if (sides.kept.length === 2) {
    // Rows without a partner on either side come on top of each other, not instead.
    const [first, second] = sides.kept
    const matched = Math.min(inner.rows, first?.rows ?? 0, second?.rows ?? 0)
    rows = Math.max(rows, (first?.rows ?? 0) + (second?.rows ?? 0) - matched)
  }
  const unmatched = rows <= 0 ? 0 : Math.max(0, 1 - inner.rows / rows)
  const columns = new Map<string, ColumnEstimate>()
  const padded = new Set(sides.padded.flatMap((side) => [...side.columns.keys()]))
  for (const side of sides.kept)
    for (const [name, column] of side.columns) columns.set(name, column)
  for (const [name, column] of inner.columns) {
    const own = columns.get(name) ?? column
    columns.set(
      name,
      padded.has(name) ? { ...own, nulls: own.nulls + (1 - own.nulls) * unmatched } : own,
    )
  }
  return estimated(rows, columns)
}
