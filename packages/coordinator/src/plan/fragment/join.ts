import type { Expression } from '../../sql/ir.ts'
import {
  columnsOf,
  type JoinCondition,
  type JoinRelation,
  type JoinType,
  mapRelation,
  type Relation,
} from '../logical/relation.ts'
import { equalIr } from '../../sql/ir/equal.ts'
import { allNames, joinNeeds } from './columns.ts'
import { formatBytes, formatNs } from '../format.ts'
import { BUILD_NS, READ_VALUE_NS, STAGE_NS } from './cost.ts'
import { NotDistributable } from './drafts.ts'
import type { Fragmenter } from './fragmenter.ts'
import {
  bucketKeys,
  type Branch,
  mapStream,
  SINGLE,
  singleBranch,
  type Source,
  type Stream,
  streamOf,
  withKeys,
} from './stream.ts'

/** Joins whose rows are those of the left side, so that any part of the left may meet the whole right side. */
const RIGHT_WHOLE: ReadonlySet<JoinType> = new Set([
  'inner',
  'left',
  'semi',
  'anti',
  'mark',
  'single',
])
const LEFT_WHOLE: ReadonlySet<JoinType> = new Set(['inner', 'right'])

/** One way to run a join, and the nanoseconds until it is done beyond what all ways have in common. */
interface Way {
  readonly kind: 'whole' | 'buckets'
  readonly ns: number
  /** `why` says for people what made it the best. */
  readonly make: (why: string) => Stream
}

interface Sides {
  readonly by: Fragmenter
  readonly join: JoinRelation
  readonly left: Stream
  readonly right: Stream
  readonly needs: { readonly left: ReadonlySet<string>; readonly right: ReadonlySet<string> }
}

/** A join of two relations: one side whole in every task, or both in buckets by what they are equal in. */
export function joinStream(
  by: Fragmenter,
  join: JoinRelation,
  needed: ReadonlySet<string>,
): Stream {
  if (join.dependent !== undefined) return dependentStream(by, join, needed)
  const needs = joinNeeds(join, needed)
  const left = by.stream(join.left, needs.left)
  const right = by.stream(join.right, needs.right)
  const sides: Sides = { by, join, left, right, needs }
  const ways = [
    ...(RIGHT_WHOLE.has(join.type) ? wholeWays(sides, 'right') : []),
    ...(LEFT_WHOLE.has(join.type) ? wholeWays(sides, 'left') : []),
    ...bucketWays(sides),
  ]
  const best = ways.toSorted((a, b) => a.ns - b.ns)[0]
  if (best === undefined) return together(sides)
  return best.make(reasonFor(best, ways))
}

/** The times by which a way was chosen, for people. */
function reasonFor(best: Way, ways: readonly Way[]): string {
  const other = ways.filter((way) => way.kind !== best.kind).toSorted((a, b) => a.ns - b.ns)[0]
  if (other === undefined) return ''
  const rival = { whole: 'with one side whole', buckets: 'in buckets' }[other.kind]
  return `, ${formatNs(best.ns)} where ${rival} it takes ${formatNs(other.ns)}`
}

/**
 * A correlated subquery that no rule has made a plain join of: the left side is written once, and the right side reads
 * the distinct values that it depends on from what was written.
 */
function dependentStream(by: Fragmenter, join: JoinRelation, needed: ReadonlySet<string>): Stream {
  const { dependent, ...plain } = join
  const all = allNames(join.left)
  const stream = by.stream(join.left, all)
  const why = 'outer rows of a correlated subquery'
  const left = by.drafts.add({ stream, of: join.left, needed: all, why })
  const right = mapRelation(join.right, (part): Relation => {
    if (part.kind !== 'dependent' || part.id !== dependent?.id) return part
    const items = part.columns.map((column, i) => {
      const expression = dependent.columns[i]
      if (expression === undefined)
        throw new Error('a dependent relation has the columns of its join')
      return { column, expression }
    })
    return { kind: 'distinct', input: { kind: 'project', input: left, items }, orderBy: [] }
  })
  return joinStream(by, { ...plain, left, right }, needed)
}

const slotsOf = ({ by }: Sides, stream: Stream): number =>
  singleBranch(stream) === undefined ? Math.max(1, by.options.slots) : 1

/** Every task gets all of one side: reads it by itself, or what has been written once for all. */
function wholeWays(sides: Sides, side: 'left' | 'right'): readonly Way[] {
  const { by, join, needs } = sides
  const { costs, options } = by
  const [kept, whole] = side === 'right' ? [sides.left, sides.right] : [sides.right, sides.left]
  const relation = side === 'right' ? join.right : join.left
  const probe = side === 'right' ? join.left : join.right
  const size = by.drafts.madeSize(relation, needs[side]) ?? costs.size(relation)
  const isAlone = singleBranch(kept) !== undefined
  // A single task may hold what it must; many that hold the same are the cluster's memory many times.
  if (!isAlone && size.bytes > options.broadcastMaxBytes) return []
  const parallel = slotsOf(sides, kept)
  const common = size.rows * BUILD_NS + costs.probe(probe) / parallel
  const width = costs.width(relation, needs[side])
  const inline: Way = {
    kind: 'whole',
    ns: common + costs.work(relation),
    make: () => withWhole(sides, kept, side, by.whole(relation)),
  }
  const there: Way = {
    kind: 'whole',
    ns: common + size.rows * Math.max(1, width) * READ_VALUE_NS,
    make: () => {
      const exchange = by.drafts.madeRows(relation, needs[side])
      if (exchange === undefined) throw new Error('what has been written can be read')
      return withWhole(sides, kept, side, exchange)
    },
  }
  const written: Way = {
    kind: 'whole',
    ns:
      common +
      STAGE_NS +
      (costs.work(relation) + costs.write(relation, width, false)) / slotsOf(sides, whole) +
      costs.read(relation, width),
    make: (reason) => {
      const most = isAlone ? '' : ` ≤ ${broadcastMax(sides)}`
      const why = `${side} side of a join, whole for every task: ${formatBytes(size.bytes)}${most}${reason}`
      const exchange = by.drafts.add({ stream: whole, of: relation, needed: needs[side], why })
      return withWhole(sides, kept, side, exchange)
    },
  }
  return [inline, by.drafts.madeSize(relation, needs[side]) === undefined ? written : there]
}

const broadcastMax = ({ by }: Sides): string =>
  `${formatBytes(by.options.broadcastMaxBytes)} (broadcast_max_bytes)`

function withWhole({ join }: Sides, kept: Stream, side: 'left' | 'right', whole: Relation): Stream {
  const branches = kept.branches.map(({ relation, source }): Branch => ({
    relation:
      side === 'right'
        ? { ...join, left: relation, right: whole }
        : { ...join, left: whole, right: relation },
    source,
  }))
  return { branches }
}

/** Both sides in buckets by the hash of what is compared for equality; a side that is in such buckets stays. */
function bucketWays(sides: Sides): readonly Way[] {
  const { by, join, left, right, needs } = sides
  const { costs } = by
  const pairs = bucketPairs(join)
  if (pairs.length === 0) return []
  const lefts = pairs.map((p) => p.left)
  const rights = pairs.map((p) => p.right)
  const slots = Math.max(1, by.options.slots)
  const common = (costs.build(join.right) + costs.probe(join.left)) / slots
  const moving = (stream: Stream, side: 'left' | 'right'): number => {
    const keys = side === 'left' ? lefts : rights
    if (by.drafts.isMade({ of: join[side], needed: needs[side], keys })) return 0
    const width = costs.width(join[side], needs[side])
    return (
      STAGE_NS +
      costs.write(join[side], width, true) / slotsOf(sides, stream) +
      costs.read(join[side], width) / slots
    )
  }
  const making = costs.work(join.right) / slotsOf(sides, right)
  const ways: Way[] = []
  // Buckets by some of the keys are enough, as long as the other side is written by the same ones, in their order.
  const leftKeys = bucketKeys(left).find((list) => indexesIn(list, lefts) !== undefined)
  const rightKeys = bucketKeys(right).find((list) => indexesIn(list, rights) !== undefined)
  if (leftKeys !== undefined) {
    const keys = (indexesIn(leftKeys, lefts) ?? []).flatMap((i) => rights[i] ?? [])
    ways.push({
      ns: common + making + moving(right, 'right'),
      kind: 'buckets',
      make: (why) => bucketed(sides, left, shuffled(sides, 'right', { keys, why }), leftKeys, keys),
    })
  }
  if (rightKeys !== undefined) {
    const keys = (indexesIn(rightKeys, rights) ?? []).flatMap((i) => lefts[i] ?? [])
    ways.push({
      ns: common + making + moving(left, 'left'),
      kind: 'buckets',
      make: (why) =>
        bucketed(sides, shuffled(sides, 'left', { keys, why }), right, keys, rightKeys),
    })
  }
  if (leftKeys !== undefined && rightKeys !== undefined) {
    const same = equalIr(indexesIn(leftKeys, lefts), indexesIn(rightKeys, rights))
    if (same)
      ways.push({
        ns: common + making,
        kind: 'buckets',
        make: () => bucketed(sides, left, right, leftKeys, rightKeys),
      })
  }
  ways.push({
    ns: common + making + moving(left, 'left') + moving(right, 'right'),
    kind: 'buckets',
    make: (why) => {
      // The build side first: what it turns out to be can change how the other is run.
      const build = shuffled(sides, 'right', { keys: rights, why })
      const filtered = { ...sides, left: filteredByKeys(sides, build, pairs) }
      return bucketed(sides, shuffled(filtered, 'left', { keys: lefts, why }), build, lefts, rights)
    },
  })
  return ways
}

/** Joins in which a left row without a match is dropped. */
const DROPS_LEFT: ReadonlySet<JoinType> = new Set(['inner', 'semi', 'right'])
/** A runtime filter is a set of at most this many keys, and has to keep at most this part of the rows. */
const FILTER_KEYS_MAX = 200_000
const FILTER_KEPT_MAX = 0.5

/**
 * The left side without the rows whose keys the right side, which has been written before, does not have: what is
 * dropped here need not be written. A semi join with the right side's segments, so exact and of the same equality.
 */
function filteredByKeys(
  { by, join, left, needs }: Sides,
  build: Stream,
  pairs: readonly JoinCondition[],
): Stream {
  const [branch] = build.branches
  if (!DROPS_LEFT.has(join.type) || branch?.relation.kind !== 'exchange') return left
  // A side that is there already is not written again.
  const keys = pairs.map((p) => p.left)
  if (by.drafts.isMade({ of: join.left, needed: needs.left, keys })) return left
  const { rows } = by.drafts.sizeOf(branch.relation.exchange)
  const before = by.costs.size(join.left).rows
  const matched = by.costs.size(join).rows
  if (rows > FILTER_KEYS_MAX || matched > before * FILTER_KEPT_MAX) return left
  const right = branch.relation
  return mapStream(left, (relation) => ({
    kind: 'join',
    type: 'semi',
    left: relation,
    right,
    conditions: pairs,
    residual: [],
  }))
}

/** Where each expression of `list` stands in `all`; undefined where one does not. */
function indexesIn(
  list: readonly Expression[],
  all: readonly Expression[],
): readonly number[] | undefined {
  if (list.length === 0) return undefined
  const found = list.map((e) => all.findIndex((other) => equalIr(e, other)))
  return found.includes(-1) ? undefined : found
}

function shuffled(
  sides: Sides,
  side: 'left' | 'right',
  { keys, why: reason }: { readonly keys: readonly Expression[]; readonly why: string },
): Stream {
  const { by, join, left, right, needs } = sides
  const [l, r] = [by.costs.size(join.left).bytes, by.costs.size(join.right).bytes].map(formatBytes)
  // Without times to compare, no side may be given whole to every task.
  const limit = reason === '' ? ` and ${broadcastMax(sides)}` : reason
  const why = `${side} side of a join, by its keys: left ${l}, right ${r}${limit}`
  const stream = side === 'left' ? left : right
  return by.drafts.shuffle({ stream, of: join[side], needed: needs[side], keys, why })
}

/** The conditions by which equal rows of both sides meet in one bucket. */
function bucketPairs(join: JoinRelation): readonly JoinCondition[] {
  const isEqual = (c: JoinCondition): boolean =>
    c.operator === '=' || c.operator === 'is not distinct from'
  // Whether a mark is false or unknown depends on NULLs anywhere in the right side.
  const isKnown = join.conditions.every((c) => c.operator === 'is not distinct from')
  if (join.type === 'mark' && (!isKnown || join.residual.length > 0)) return []
  return join.conditions.filter(isEqual)
}

function bucketed(
  { join }: Sides,
  left: Stream,
  right: Stream,
  leftKeys: readonly Expression[],
  rightKeys: readonly Expression[],
): Stream {
  const [l, r] = [left.branches[0], right.branches[0]]
  if (l?.source.kind !== 'buckets' || r?.source.kind !== 'buckets')
    throw new Error('both sides of the join are in buckets')
  const source: Source = {
    kind: 'buckets',
    exchanges: [...new Set([...l.source.exchanges, ...r.source.exchanges])],
    keys: [],
  }
  const keys = {
    // Rows without a match have NULL in the other side's keys, wherever they are.
    inner: [leftKeys, rightKeys],
    left: [leftKeys],
    semi: [leftKeys],
    anti: [leftKeys],
    mark: [leftKeys],
    single: [leftKeys],
    right: [rightKeys],
    full: [],
  }[join.type]
  const relation: Relation = { ...join, left: l.relation, right: r.relation }
  return withKeys(streamOf(relation, source), keys)
}

/** No part of one side can do without all of the other, and there is nothing they are equal in. */
function together({ by, join, left, right, needs }: Sides): Stream {
  const side = (which: 'left' | 'right', stream: Stream): Relation => {
    const why = `${which} side of a join that one task makes`
    const gathered = by.drafts.gather({ stream, of: join[which], needed: needs[which], why })
    const branch = singleBranch(gathered)
    if (branch === undefined) throw new Error('what is gathered is in one place')
    return branch.relation
  }
  const relation: Relation = { ...join, left: side('left', left), right: side('right', right) }
  if (columnsOf(relation).length === 0) throw new NotDistributable('a join without columns')
  return streamOf(relation, SINGLE)
}
