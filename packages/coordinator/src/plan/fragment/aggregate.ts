import { equalIr } from '../../sql/ir/equal.ts'
import type { Expression, FunctionCall } from '../../sql/ir.ts'
import { simpleType } from '../../sql/sql-types.ts'
import {
  type AggregateRelation,
  columnRef,
  type Computed,
  type ComputedAggregate,
  type PlanColumn,
  type Relation,
} from '../logical/relation.ts'
import { bitOf, type Merge, mergeOf } from './aggregate-merge.ts'
import { addColumns } from './columns.ts'
import type { Fragmenter } from './fragmenter.ts'
import {
  bucketKeys,
  keysThrough,
  mapStream,
  singleBranch,
  type Stream,
  withKeys,
} from './stream.ts'

/** Groups found by the parts that leave more of the rows than this are not worth finding twice. */
const REDUCTION_MIN = 0.6

export interface AggregateInput {
  readonly aggregate: AggregateRelation
  readonly input: Stream
  /** Columns of the input that the aggregation reads. */
  readonly inputs: ReadonlySet<string>
  readonly needed: ReadonlySet<string>
}

/**
 * An aggregation over a stream: whole where equal keys are together already, else of parts that are merged, else over
 * rows that are brought together by their keys first.
 */
export function aggregateStream(by: Fragmenter, work: AggregateInput): Stream {
  const { aggregate, input } = work
  const whole = (of: Relation): Relation => ({ ...aggregate, input: of })
  if (singleBranch(input) !== undefined) return mapStream(input, whole)
  const keys = aggregate.keys.map((k) => k.expression)
  const plain = isPlain(aggregate)
  const there = plain ? by.together(input, keys) : undefined
  if (there !== undefined) {
    return withKeys(
      mapStream(there, whole),
      keysThrough(bucketKeys(there), aggregate.keys, equalIr),
    )
  }
  const merges = aggregate.aggregates.map(mergeOf)
  const isMergeable = merges.every((merge) => typeof merge !== 'string') && !hasEqualSets(aggregate)
  const groups = by.costs.size(aggregate).rows
  const rows = by.costs.size(aggregate.input).rows
  const isReduced = by.mayGather(groups) || groups <= rows * REDUCTION_MIN
  if (isMergeable && (isReduced || !plain || keys.length === 0)) {
    return mergedStream(
      by,
      work,
      merges.filter((m) => typeof m !== 'string'),
    )
  }
  const distinct = isMergeable ? undefined : distinctArguments(aggregate)
  if (distinct !== undefined && plain) {
    return distinctStream(by, work, distinct)
  }
  const exchanged = { stream: input, of: aggregate.input, needed: work.inputs }
  if (!plain || keys.length === 0) {
    const why = 'rows of an aggregate that has no parts'
    return mapStream(by.drafts.gather({ ...exchanged, why }), whole)
  }
  const shuffled = by.drafts.shuffle({ ...exchanged, keys, why: 'rows by their group' })
  return withKeys(mapStream(shuffled, whole), [aggregate.keys.map((k) => columnRef(k.column))])
}

/** One set of all keys: GROUP BY a, b, or no keys at all. */
const isPlain = (aggregate: AggregateRelation): boolean =>
  aggregate.sets.length === 1 &&
  aggregate.sets[0]?.length === aggregate.keys.length &&
  aggregate.groupings.length === 0

/** True where two grouping sets are the same, as in ROLLUP (a, a): merging would make one group of both sets' groups. */
const hasEqualSets = ({ sets }: AggregateRelation): boolean =>
  new Set(sets.map((set) => [...new Set(set)].toSorted((a, b) => a - b).join())).size < sets.length

/** Groups of each part, merged by their keys. */
function mergedStream(by: Fragmenter, work: AggregateInput, merges: readonly Merge[]): Stream {
  const { aggregate, input } = work
  const id = groupingColumn(aggregate)
  const partial = (of: Relation): Relation => ({
    ...aggregate,
    input: of,
    aggregates: merges.flatMap((m) => m.partials),
    groupings: id === undefined ? [] : [{ column: id, keys: aggregate.keys.map((_, i) => i) }],
  })
  const parts = mapStream(input, partial)
  const keys: readonly PlanColumn[] = [
    ...aggregate.keys.map((k) => k.column),
    ...(id === undefined ? [] : [id]),
  ]
  const names = new Set(
    [...keys, ...merges.flatMap((m) => m.partials.map((p) => p.column))].map((c) => c.name),
  )
  const gathered = keys.length === 0 || by.mayGather(by.costs.size(aggregate).rows)
  const exchanged = {
    stream: parts,
    of: aggregate,
    needed: names,
    content: 'partial' as const,
    why: 'groups of each part',
  }
  const refs = keys.map(columnRef)
  const stream = gathered
    ? by.drafts.gather(exchanged)
    : by.drafts.shuffle({ ...exchanged, keys: refs })
  const final = mapStream(stream, (of) => finished({ aggregate, merges, id, keys }, of))
  return withKeys(final, id === undefined ? [refs] : [])
}

/** The aggregation over the groups of the parts, under the columns of the whole. */
function finished(
  by: {
    readonly aggregate: AggregateRelation
    readonly merges: readonly Merge[]
    readonly id: PlanColumn | undefined
    readonly keys: readonly PlanColumn[]
  },
  input: Relation,
): Relation {
  const { aggregate, merges, id, keys } = by
  const final: Relation = {
    kind: 'aggregate',
    input,
    keys: keys.map((column) => ({ column, expression: columnRef(column) })),
    sets: [keys.map((_, i) => i)],
    aggregates: merges.flatMap((m) => m.finals),
    groupings: [],
  }
  const items: Computed[] = [
    ...aggregate.keys.map(({ column }) => ({ column, expression: columnRef(column) })),
    ...merges.map((m, i) => ({
      column: aggregate.aggregates[i]?.column ?? { name: '', type: simpleType('NULL') },
      expression: m.value,
    })),
    ...aggregate.groupings.map((g) => ({
      column: g.column,
      expression: id === undefined ? zero : groupingBits(id, aggregate.keys.length, g.keys),
    })),
  ]
  return { kind: 'project', input: final, items }
}

const zero: Expression = { kind: 'constant', type: simpleType('BIGINT'), value: '0' }

/** A number that tells the grouping sets apart. */
function groupingColumn(aggregate: AggregateRelation): PlanColumn | undefined {
  if (isPlain(aggregate)) return undefined
  const [first] = [...aggregate.keys, ...aggregate.aggregates, ...aggregate.groupings]
  return { name: `${first?.column.name ?? ''}$grouping`, type: simpleType('BIGINT') }
}

/** GROUPING of some of the keys out of GROUPING of all. The first key has the highest bit. */
function groupingBits(id: PlanColumn, width: number, keys: readonly number[]): Expression {
  const bits = keys.map((key, j) => bitOf(columnRef(id), width - 1 - key, keys.length - 1 - j))
  const [first, ...rest] = bits
  return rest.reduce((sum, bit) => operator('+', [sum, bit]), first ?? zero)
}

const operator = (name: string, args: readonly Expression[]): FunctionCall => ({
  kind: 'function',
  name,
  args,
  distinct: false,
  orderBy: [],
  operator: true,
})

/** The arguments that all DISTINCT aggregates share, where every other aggregate has parts. */
function distinctArguments(aggregate: AggregateRelation): readonly Expression[] | undefined {
  let shared: readonly Expression[] | undefined
  for (const computed of aggregate.aggregates) {
    const { expression } = computed
    if (!expression.distinct) {
      if (typeof mergeOf(computed) === 'string') return undefined
      continue
    }
    if (expression.filter !== undefined || expression.orderBy.length > 0) return undefined
    if (expression.args.length === 0) return undefined
    if (shared !== undefined && !equalIr(shared, expression.args)) return undefined
    shared = expression.args
  }
  return shared
}

/**
 * DISTINCT aggregates of one argument: each part finds the distinct pairs of keys and argument, and the parts of the
 * other aggregates for each; these come together by key, where the argument is distinct only once more.
 */
function distinctStream(by: Fragmenter, work: AggregateInput, args: readonly Expression[]): Stream {
  const { aggregate, input } = work
  const [first] = aggregate.aggregates
  const types = aggregate.aggregates.find((a) => a.expression.distinct)?.argumentTypes ?? []
  const own = args.map((expression, i): Computed => ({
    column: {
      name: `${first?.column.name ?? ''}$distinct${i}`,
      type: types[i] ?? simpleType('NULL'),
    },
    expression,
  }))
  const merges = aggregate.aggregates.map((a) => (a.expression.distinct ? undefined : mergeOf(a)))
  const partials = merges.flatMap((m) =>
    m === undefined || typeof m === 'string' ? [] : m.partials,
  )
  const keys = [...aggregate.keys, ...own]
  const partial = (of: Relation): Relation => ({
    kind: 'aggregate',
    input: of,
    keys,
    sets: [keys.map((_, i) => i)],
    aggregates: partials,
    groupings: [],
  })
  const needed = addColumns([], new Set([...keys, ...partials].map((c) => c.column.name)))
  const expected = by.costs.size(partial(aggregate.input))
  const exchanged = {
    stream: mapStream(input, partial),
    of: aggregate,
    needed,
    content: 'partial' as const,
    expected,
  }
  const refs = aggregate.keys.map((k) => columnRef(k.column))
  const why = 'distinct values of each part'
  const stream =
    refs.length === 0 || by.mayGather(expected.rows)
      ? by.drafts.gather({ ...exchanged, why })
      : by.drafts.shuffle({ ...exchanged, keys: refs, why })
  const final = mapStream(stream, (rows) => finishedDistinct({ aggregate, merges, own }, rows))
  return withKeys(final, [refs])
}

function finishedDistinct(
  by: {
    readonly aggregate: AggregateRelation
    readonly merges: readonly (Merge | string | undefined)[]
    readonly own: readonly Computed[]
  },
  input: Relation,
): Relation {
  const { aggregate, merges, own } = by
  const finals: ComputedAggregate[] = []
  const values: Computed[] = []
  aggregate.aggregates.forEach((computed, i) => {
    const merge = merges[i]
    if (merge === undefined || typeof merge === 'string') {
      finals.push({
        ...computed,
        expression: { ...computed.expression, args: own.map((o) => columnRef(o.column)) },
      })
      values.push({ column: computed.column, expression: columnRef(computed.column) })
    } else {
      finals.push(...merge.finals)
      values.push({ column: computed.column, expression: merge.value })
    }
  })
  const keys = aggregate.keys.map(({ column }) => ({ column, expression: columnRef(column) }))
  const final: Relation = {
    kind: 'aggregate',
    input,
    keys,
    sets: [keys.map((_, i) => i)],
    aggregates: finals,
    groupings: [],
  }
  return { kind: 'project', input: final, items: [...keys, ...values] }
}
