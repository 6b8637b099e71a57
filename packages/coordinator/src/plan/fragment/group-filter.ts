/**
 * Runtime filters below an aggregation: where groups are joined by what they are grouped by, rows of groups that find no
 * partner need not be aggregated. The other side is written first, the rows are asked for its keys (a semi join with its
 * segments), and the join stays where it is, over the groups that are left.
 *
 * That is sound because the keys that are asked for are keys of the groups: all rows of a group have the same ones, so a
 * group stays whole or goes whole, and one that goes is one that the join would drop. The question is the join's own: the
 * same operator over the same types, so NULLs meet as they do there. Not below grouping sets, where a group has NULL for
 * the keys that are not in its set. The key is computed of the rows that the aggregation computes it of, so nothing fails
 * that did not before; an aggregate that would have failed in a group that nobody asks for does not, as with any filter.
 */
import { columnName } from '../logical/expressions.ts'
import { isPlainAggregate } from '../logical/properties.ts'
import {
  columnRef,
  columnsOf,
  type Computed,
  inputsOf,
  type JoinCondition,
  type JoinRelation,
  type JoinType,
  type Relation,
  withInputs,
} from '../logical/relation.ts'
import { formatBytes } from '../format.ts'
import { allNames } from './columns.ts'
import type { Side, Sides } from './join-sides.ts'
import { bucketPairs, DROPS, keyJoin, seenFrom } from './key-filter.ts'
import type { Stream } from './stream.ts'

/** The part of the rows that may be left: asking takes about as long as aggregating. */
const LEFT_MAX = 0.5

/** Joins of which a row on the left alone decides whether it is there, whatever becomes of the right. */
const KEEPS_LEFT: ReadonlySet<JoinType> = new Set(['inner', 'left', 'semi', 'anti'])

/** Makes of rows those that have a partner. The conditions have the rows' own expressions on the left. */
type Keep = (rows: Relation, conditions: readonly JoinCondition[]) => Relation

/**
 * The join with fewer groups on one side, planned by `plan`; undefined where no side is of groups by the join's keys, or
 * the other side leaves too many of them.
 */
export function withFewerGroups(
  sides: Sides,
  plan: (join: JoinRelation) => Stream,
): Stream | undefined {
  const { by, join } = sides
  // Of a mark a right side without rows is told from one without a partner.
  if (join.type === 'mark') return undefined
  for (const side of ['left', 'right'] as const) {
    if (!DROPS[side].has(join.type) || !isWorthwhile(sides, side)) continue
    const other = otherOf(side)
    const keys = keysOf(sides, side)
    const fewer = new Descent(
      (rows, conditions) => keyJoin(rows, keys, conditions),
      (made, original) => by.drafts.standsFor(made, original),
    ).toGroups(join[side], seenFrom(bucketPairs(join), side))
    if (fewer !== undefined) return plan({ ...join, [side]: fewer, [other]: keys })
  }
  return undefined
}

const otherOf = (side: Side): Side => (side === 'left' ? 'right' : 'left')

/** True where few rows are left, as far as is known before the other side has been written. */
function isWorthwhile(sides: Sides, side: Side): boolean {
  const { by, join, needs } = sides
  const { costs, drafts, options } = by
  if (options.filterGroupsAlways === true) return true
  const other = otherOf(side)
  const size = drafts.madeSize(join[other], needs[other]) ?? costs.sizeOf(join[other], needs[other])
  // Every task holds them.
  if (size.bytes > options.broadcastMaxBytes) return false
  const keys = drafts.madeRows(join[other], needs[other]) ?? join[other]
  let isFew = false
  new Descent((rows, conditions) => {
    const kept = keyJoin(rows, keys, conditions)
    isFew = costs.size(kept).rows <= costs.size(rows).rows * LEFT_MAX
    return kept
  }).toGroups(join[side], seenFrom(bucketPairs(join), side))
  return isFew
}

/** The other side as all tasks read it: what is in exchanges already, or is written once for all. */
function keysOf({ by, join, needs, ...streams }: Sides, side: Side): Relation {
  const other = otherOf(side)
  const of = join[other]
  if (isThere(of)) return of
  const { bytes } = by.costs.sizeOf(of, needs[other])
  const why = `${other} side of a join, whole for every task, and first: only groups that it has keys of are made; ${formatBytes(bytes)}`
  const exchange = by.drafts.add({ stream: streams[other], of, needed: needs[other], why })
  by.drafts.standsFor(exchange, of)
  return exchange
}

/** True where reading it a second time is no more than reading an exchange. */
function isThere(relation: Relation): boolean {
  switch (relation.kind) {
    case 'exchange':
    case 'cte':
    case 'values':
      return true
    case 'project':
    case 'filter':
      return isThere(relation.input)
    default:
      return false
  }
}

/** The way from a relation down to groups, and from there to the rows that are asked for their keys. */
class Descent {
  readonly #keep: Keep
  readonly #standsFor: (made: Relation, original: Relation) => void

  constructor(keep: Keep, standsFor: (made: Relation, original: Relation) => void = () => {}) {
    this.#keep = keep
    this.#standsFor = standsFor
  }

  /** The relation over fewer groups; undefined where there are no groups by any of the conditions' own columns. */
  toGroups(relation: Relation, conditions: readonly JoinCondition[]): Relation | undefined {
    const keys = keysOfGroups(relation)
    if (keys !== undefined && 'input' in relation) {
      const below = through(keys, conditions)
      if (below.length === 0) return undefined
      return this.#over(relation, [this.#toRows(relation.input, below)])
    }
    switch (relation.kind) {
      case 'filter':
        return this.#overMaybe(relation, this.toGroups(relation.input, conditions))
      case 'project': {
        const below = through(relation.items, conditions).filter(hasColumn)
        if (below.length === 0) return undefined
        return this.#overMaybe(relation, this.toGroups(relation.input, below))
      }
      case 'join': {
        const left = KEEPS_LEFT.has(relation.type) ? ofSide(relation.left, conditions) : []
        const right = relation.type === 'inner' ? ofSide(relation.right, conditions) : []
        if (relation.dependent !== undefined) return undefined
        const fewer = left.length === 0 ? undefined : this.toGroups(relation.left, left)
        if (fewer !== undefined) return this.#over(relation, [fewer, relation.right])
        const other = right.length === 0 ? undefined : this.toGroups(relation.right, right)
        return other === undefined ? undefined : this.#over(relation, [relation.left, other])
      }
      default:
        return undefined
    }
  }

  /** Rows with partners alone, asked as far down as all conditions can go: what drops rows comes first. */
  #toRows(relation: Relation, conditions: readonly JoinCondition[]): Relation {
    const isWhole = (below: readonly JoinCondition[]): boolean =>
      below.length === conditions.length && below.every(hasColumn)
    const keys =
      keysOfGroups(relation) ?? (relation.kind === 'project' ? relation.items : undefined)
    if (keys !== undefined && 'input' in relation) {
      const below = through(keys, conditions)
      if (isWhole(below)) return this.#over(relation, [this.#toRows(relation.input, below)])
    }
    if (relation.kind === 'filter' && inputsOf(relation.input).length > 0)
      return this.#over(relation, [this.#toRows(relation.input, conditions)])
    if (relation.kind === 'join' && relation.dependent === undefined) {
      if (KEEPS_LEFT.has(relation.type) && isWhole(ofSide(relation.left, conditions)))
        return this.#over(relation, [this.#toRows(relation.left, conditions), relation.right])
      if (relation.type === 'inner' && isWhole(ofSide(relation.right, conditions)))
        return this.#over(relation, [relation.left, this.#toRows(relation.right, conditions)])
    }
    const kept = this.#keep(relation, conditions)
    this.#standsFor(kept, relation)
    return kept
  }

  #over(relation: Relation, inputs: readonly Relation[]): Relation {
    const made = withInputs(relation, inputs)
    this.#standsFor(made, relation)
    return made
  }

  #overMaybe(relation: Relation, input: Relation | undefined): Relation | undefined {
    return input === undefined ? undefined : this.#over(relation, [input])
  }
}

/** What a relation groups by, every row being of one group; undefined for what is no such relation. */
function keysOfGroups(relation: Relation): readonly Computed[] | undefined {
  if (relation.kind === 'aggregate') return isPlainAggregate(relation) ? relation.keys : undefined
  if (relation.kind !== 'distinct' || relation.on !== undefined) return undefined
  return columnsOf(relation).map((column) => ({ column, expression: columnRef(column) }))
}

const hasColumn = ({ left }: JoinCondition): boolean => columnName(left) !== undefined

/** The conditions that are about one of these columns, now about what it is computed from. */
const through = (
  items: readonly Computed[],
  conditions: readonly JoinCondition[],
): readonly JoinCondition[] =>
  conditions.flatMap((condition) => {
    const name = columnName(condition.left)
    const item = items.find(({ column }) => column.name === name)
    return item === undefined ? [] : [{ ...condition, left: item.expression }]
  })

/** The conditions that are about a column of this side of a join. */
function ofSide(side: Relation, conditions: readonly JoinCondition[]): readonly JoinCondition[] {
  const names = allNames(side)
  return conditions.filter(({ left }) => names.has(columnName(left) ?? ''))
}
