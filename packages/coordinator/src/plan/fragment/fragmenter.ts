import { equalIr } from '../../sql/ir/equal.ts'
import type { Expression } from '../../sql/ir.ts'
import {
  type AggregateRelation,
  columnRef,
  columnsOf,
  type CteRelation,
  type DistinctRelation,
  type ExchangeRelation,
  type LimitRelation,
  type LogicalPlan,
  mapRelation,
  type ProjectRelation,
  type Relation,
  type SetRelation,
  type SortRelation,
  type UnnestRelation,
  type WindowRelation,
  type WithRelation,
} from '../logical/relation.ts'
import { aggregateStream } from './aggregate.ts'
import { addColumns, allNames, isSubset, withColumnsOf } from './columns.ts'
import type { Costs } from './cost.ts'
import { Drafts, type Made, NotDistributable } from './drafts.ts'
import { joinStream } from './join.ts'
import { withoutOwnLimits } from './limited-union.ts'
import { rangesOf } from './sort-ranges.ts'
import {
  type ApartColumn,
  bucketKeys,
  keysThrough,
  mapStream,
  SINGLE,
  singleBranch,
  type Stream,
  streamOf,
  withKeys,
} from './stream.ts'
import { apartTogether, together } from './together.ts'

export interface FragmentOptions {
  /** Tasks that can run at once. */
  readonly slots: number
  /** The largest relation that every task may be given whole, in bytes. */
  readonly broadcastMaxBytes: number
  /** Above this many groups, or distinct rows, one task does not merge what all others found. */
  readonly gatherRowsMax?: number | undefined
  /** Groups are filtered by the keys that they are joined by wherever that can be done; absent: where it pays. */
  readonly filterGroupsAlways?: boolean | undefined
  /** From so many rows on a result is sorted by ranges whether it pays or not; absent: where it pays. */
  readonly rangesRowsMin?: number | undefined
}

const GATHER_ROWS_MAX = 100_000
/** Rows are made distinct before they are compared where that leaves less than this part of them. */
const DISTINCT_FIRST_MAX = 0.6

/**
 * Cuts a logical plan into streams joined by exchanges, from the leaves to the root: each relation becomes a stream
 * that the relation above it can use as it is, or has put into buckets or into one place first. Pure: what it thinks
 * of and does not use is left behind in the drafts.
 */
export class Fragmenter {
  readonly costs: Costs
  readonly options: FragmentOptions
  readonly drafts: Drafts
  readonly #ctes = new Map<number, ExchangeRelation>()
  /** The order of the whole result: no other means anything to anybody. */
  #order: SortRelation | undefined

  /** `made`: exchanges of an earlier plan of the same query that have been written. */
  constructor(costs: Costs, options: FragmentOptions, made: readonly Made[] = []) {
    this.costs = costs
    this.options = options
    this.drafts = new Drafts(costs, made)
  }

  /** True where one task may merge this many groups, or distinct rows, of all others. */
  mayGather(rows: number): boolean {
    return rows <= (this.options.gatherRowsMax ?? GATHER_ROWS_MAX)
  }

  /** The stream with rows that agree in these keys in one task; undefined where they have to be brought together. */
  together(stream: Stream, keys: readonly Expression[]): Stream | undefined {
    return together(stream, keys, { costs: this.costs, slots: this.#slots })
  }

  /** What both sides of a join are divided by where no row has to be moved for them to meet. */
  apartTogether(
    sides: readonly [Stream, Stream],
    pair: { readonly left: Expression; readonly right: Expression },
  ): readonly ApartColumn[] | undefined {
    return apartTogether(sides, pair, { costs: this.costs, slots: this.#slots })
  }

  get #slots(): number {
    return Math.max(2, this.options.slots)
  }

  /** The streams of a whole plan. Throws {@link NotDistributable} where no rule covers something in it. */
  plan(plan: LogicalPlan): Stream {
    let top = plan.root
    while (top.kind === 'project' || top.kind === 'with')
      top = top.kind === 'with' ? top.body : top.input
    this.#order = top.kind === 'sort' ? top : undefined
    return this.stream(plan.root, new Set(plan.outputs.map((o) => o.column.name)))
  }

  /** The relation as a stream that has at least the columns that are needed. */
  stream(relation: Relation, needed: ReadonlySet<string>): Stream {
    switch (relation.kind) {
      case 'scan':
        return streamOf(relation, { kind: 'scan', scan: relation.scan })
      case 'exchange':
        return streamOf(relation, { kind: 'segments', exchange: relation.exchange })
      case 'values':
        return streamOf(relation, SINGLE)
      case 'filter': {
        const input = this.stream(relation.input, withColumnsOf(relation.conjuncts, needed))
        return mapStream(input, (of) => ({ ...relation, input: of }))
      }
      case 'project':
        return this.#project(relation, needed)
      case 'unnest':
        return this.#unnest(relation, needed)
      case 'join':
        return joinStream(this, relation, needed)
      case 'aggregate':
        return this.#aggregate(relation, needed)
      case 'distinct':
        return this.#distinct(relation, needed)
      case 'window':
        return this.#window(relation, needed)
      case 'sort':
        return this.#sort(relation, needed)
      case 'limit':
        return this.#limit(relation, needed)
      case 'set':
        return this.#set(relation)
      case 'with':
        return this.#with(relation, needed)
      case 'cte':
        return this.#cte(relation)
      case 'dependent':
        throw new NotDistributable('a correlated subquery for which there is no rule')
    }
  }

  /** The relation for a task that reads all of it by itself: as it is, but for what has been computed once for all. */
  whole(relation: Relation): Relation {
    return mapRelation(relation, (part) => {
      if (part.kind === 'exchange') return { ...part, whole: true }
      return part.kind === 'cte' ? this.#cteRelation(part, true) : part
    })
  }

  #project(project: ProjectRelation, needed: ReadonlySet<string>): Stream {
    const wanted = project.items.filter((item) => needed.has(item.column.name))
    const items = wanted.length > 0 ? wanted : project.items.slice(0, 1)
    const input = this.stream(project.input, addColumns(items, new Set()))
    const stream = mapStream(input, (of) => ({ ...project, items, input: of }))
    return withKeys(stream, keysThrough(bucketKeys(input), items, equalIr))
  }

  #unnest(unnest: UnnestRelation, needed: ReadonlySet<string>): Stream {
    const input = this.stream(unnest.input, withColumnsOf(unnest.items, needed))
    return mapStream(input, (of) => ({ ...unnest, input: of }))
  }

  #aggregate(aggregate: AggregateRelation, needed: ReadonlySet<string>): Stream {
    const inputs = addColumns([aggregate.keys, aggregate.aggregates], new Set())
    const input = this.stream(aggregate.input, inputs)
    return aggregateStream(this, { aggregate, input, inputs, needed })
  }

  #distinct(distinct: DistinctRelation, needed: ReadonlySet<string>): Stream {
    const { on } = distinct
    const inputs =
      on === undefined
        ? allNames(distinct.input)
        : withColumnsOf([on, distinct.orderBy], new Set(needed))
    const input = this.stream(distinct.input, inputs)
    const whole = (of: Relation): Relation => ({ ...distinct, input: of })
    const keys = on ?? columnsOf(distinct.input).map(columnRef)
    if (singleBranch(input) !== undefined) return mapStream(input, whole)
    const there = this.together(input, keys)
    if (there !== undefined) return mapStream(there, whole)
    // The first of the first rows of each part is the first of all.
    const parts = mapStream(input, whole)
    const exchanged = { stream: parts, of: distinct, needed: inputs, content: 'distinct' as const }
    const gathered = keys.length === 0 || this.mayGather(this.costs.size(distinct).rows)
    const why =
      on === undefined
        ? 'distinct rows of each part'
        : 'a row of each part for each value of DISTINCT ON'
    return mapStream(
      gathered
        ? this.drafts.gather({ ...exchanged, why })
        : this.drafts.shuffle({ ...exchanged, keys, why }),
      whole,
    )
  }

  #window(window: WindowRelation, needed: ReadonlySet<string>): Stream {
    const own = new Set(window.windows.map((w) => w.column.name))
    const inputs = new Set(
      [...addColumns(window.windows, new Set(needed))].filter((n) => !own.has(n)),
    )
    const input = this.stream(window.input, inputs)
    const whole = (of: Relation): Relation => ({ ...window, input: of })
    if (singleBranch(input) !== undefined) return mapStream(input, whole)
    const [first, ...others] = window.windows.map((w) => w.expression.partitionBy)
    const keys = (first ?? []).filter((key) => others.every((list) => isSubset([key], list)))
    const there = this.together(input, keys)
    if (there !== undefined) return mapStream(there, whole)
    const exchanged = { stream: input, of: window.input, needed: inputs }
    if (keys.length === 0) {
      return mapStream(this.drafts.gather({ ...exchanged, why: 'a window over all rows' }), whole)
    }
    if (this.mayGather(this.costs.size(window.input).rows)) {
      return mapStream(this.drafts.gather({ ...exchanged, why: 'a window over few rows' }), whole)
    }
    const why = 'windows by their partition keys'
    return mapStream(this.drafts.shuffle({ ...exchanged, keys, why }), whole)
  }

  #sort(sort: SortRelation, needed: ReadonlySet<string>): Stream {
    const inputs = withColumnsOf(sort.orderBy, needed)
    const stream = this.stream(sort.input, inputs)
    const sorted = (of: Relation): Relation => ({ ...sort, input: of })
    if (singleBranch(stream) !== undefined) return mapStream(stream, sorted)
    const why = 'all rows, to be sorted'
    const rows = this.drafts.add({ stream, of: sort.input, needed: inputs, why })
    const ranges = sort === this.#order ? rangesOf(this, sort, rows) : undefined
    return mapStream(ranges ?? streamOf(rows, SINGLE), sorted)
  }

  /** The first rows of each part, then of all; in order where there is one. */
  #limit(limit: LimitRelation, needed: ReadonlySet<string>): Stream {
    const sort = limit.input.kind === 'sort' ? limit.input : undefined
    const { count } = limit
    const all = sort?.input ?? limit.input
    const wanted = { rows: (count ?? Infinity) + limit.offset, orderBy: sort?.orderBy }
    const below = withoutOwnLimits(all, wanted)
    const inputs = withColumnsOf(sort?.orderBy, needed)
    const stream = this.stream(below, inputs)
    const ordered = (of: Relation): Relation => (sort === undefined ? of : { ...sort, input: of })
    const whole = (of: Relation): Relation => ({ ...limit, input: ordered(of) })
    if (singleBranch(stream) !== undefined) return mapStream(stream, whole)
    const parts =
      count === undefined
        ? stream
        : mapStream(stream, (of) => ({
            ...limit,
            input: ordered(of),
            count: count + limit.offset,
            offset: 0,
          }))
    const why =
      sort === undefined ? 'the first rows of each part' : 'the first rows of each part in order'
    const content = count === undefined ? ('rows' as const) : ('limited' as const)
    return mapStream(
      this.drafts.gather({
        stream: parts,
        of: count === undefined ? all : limit,
        needed: inputs,
        content,
        why,
      }),
      whole,
    )
  }

  #set(set: SetRelation): Stream {
    if (set.operator === 'union') {
      const all: Stream = {
        branches: set.inputs.flatMap((input) => this.#renamed(set, input).branches),
      }
      if (set.all) return all
      throw new NotDistributable('UNION without ALL is not in its normal form')
    }
    const keys = set.columns.map(columnRef)
    const sides = set.inputs.map((input) => {
      const stream = this.#renamed(set, input)
      const distinct: Relation = { kind: 'distinct', input, orderBy: [] }
      // Without ALL a row counts once, however often it is there.
      const isLess =
        !set.all &&
        this.costs.size(distinct).rows < this.costs.size(input).rows * DISTINCT_FIRST_MAX
      const what = isLess ? 'distinct rows' : 'rows'
      return this.drafts.add({
        stream: isLess
          ? mapStream(stream, (of) => ({ kind: 'distinct', input: of, orderBy: [] }))
          : stream,
        of: input,
        ...(isLess ? { content: 'distinct', expected: this.costs.size(distinct) } : {}),
        needed: new Set(set.columns.map((c) => c.name)),
        keys,
        why: `${what} to be compared by ${set.operator.toUpperCase()}`,
      })
    })
    return streamOf(
      { ...set, inputs: sides },
      { kind: 'buckets', exchanges: sides.map((s) => s.exchange), keys: [keys] },
    )
  }

  /** An input of a set operation under the operation's own names. */
  #renamed(set: SetRelation, input: Relation): Stream {
    const own = columnsOf(input)
    const stream = this.stream(input, allNames(input))
    const items = set.columns.map((column, i) => {
      const from = own[i]
      if (from === undefined) throw new NotDistributable('a set operation of unequal widths')
      return { column, expression: columnRef(from) as Expression }
    })
    return mapStream(stream, (of) => ({ kind: 'project', input: of, items }))
  }

  #with(relation: WithRelation, needed: ReadonlySet<string>): Stream {
    const all = allNames(relation.definition)
    const stream = this.stream(relation.definition, all)
    const why =
      relation.implicit === true
        ? 'the same in several places of the query, computed once'
        : 'computed once for all that use it'
    this.#ctes.set(
      relation.id,
      this.drafts.add({ stream, of: relation.definition, needed: all, why }),
    )
    return this.stream(relation.body, needed)
  }

  #cte(cte: CteRelation): Stream {
    const relation = this.#cteRelation(cte)
    const { exchange } = this.#definition(cte)
    return streamOf(relation, { kind: 'segments', exchange })
  }

  #cteRelation(cte: CteRelation, whole = false): Relation {
    const definition = this.#definition(cte)
    const exchange = whole ? { ...definition, whole } : definition
    const items = cte.columns.map((column, i) => {
      const from = exchange.columns[i]
      if (from === undefined) throw new Error('a use of WITH has the columns of its definition')
      return { column, expression: columnRef(from) }
    })
    return { kind: 'project', input: exchange, items }
  }

  #definition(cte: CteRelation): ExchangeRelation {
    const exchange = this.#ctes.get(cte.id)
    if (exchange === undefined) throw new NotDistributable('a recursive WITH')
    return exchange
  }
}
