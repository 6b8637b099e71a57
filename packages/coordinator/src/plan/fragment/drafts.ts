import { equalIr } from '../../sql/ir/equal.ts'
import type { Expression } from '../../sql/ir.ts'
import { typeText } from '../../sql/sql-types.ts'
import type { ExchangeRelation, PlanColumn, Relation } from '../logical/relation.ts'
import { columnsOf } from '../logical/relation.ts'
import type { Costs, Size } from './cost.ts'
import { SINGLE, singleBranch, type Source, type Stream, streamOf } from './stream.ts'

/** A reason for which a query cannot be cut into fragments; it then runs as one. */
export class NotDistributable extends Error {
  override readonly name = 'NotDistributable'
}

/** What an exchange carries, which says whether one that has been made can be used for something else. */
export type Content = 'rows' | 'partial' | 'distinct' | 'limited' | 'bounds'

/** An exchange that may become part of the plan. */
export interface Draft {
  readonly id: number
  readonly stream: Stream
  readonly columns: readonly PlanColumn[]
  /**
   * Columns that the stream has besides, or the relation where the stream is one of its columns alone. Other names that
   * are needed are no columns: those of a lambda's parameters.
   */
  readonly lacking: readonly PlanColumn[]
  /** Expressions over `columns` whose hash says the bucket; none for an exchange that is not in buckets. */
  readonly keys: readonly Expression[]
  /** The relation of the logical plan whose rows, or parts, it carries: by it an exchange is known when planned again. */
  readonly of: Relation
  readonly content: Content
  /** Why it is there, for EXPLAIN. */
  readonly why: string
  /** What it is expected to hold where that is not all of the relation. */
  readonly expected?: Size | undefined
  /** The number and size of the exchange where it has been written already. */
  readonly made?: Made | undefined
}

/** An exchange that has been written, with what it was found to hold. */
export interface Made {
  readonly number: number
  readonly draft: Draft
  readonly size: Size
}

/** Types that do not come back from a segment as they went in, or, like a row of fields without names, have no text. */
const NOT_EXCHANGEABLE = /UNION|BIGNUM|VARIANT|GEOMETRY|"NULL"|\(""/
/** Written as text, or as another type, and cast when read: possible for a column's own type alone. */
const CAST_BACK_ONLY_ALONE =
  /HUGEINT|TIME WITH TIME ZONE|TIMETZ|BIT\b|TIMESTAMP_S|TIMESTAMP_MS|ENUM/
const IS_ALONE = /^(U?HUGEINT|TIMESTAMP_S|TIMESTAMP_MS)$/
const LOSSY = /INTERVAL|\[\d+\]/

/** The name of a type that cannot be exchanged without loss. */
export function unfitType(columns: readonly PlanColumn[]): string | undefined {
  for (const { type } of columns) {
    const text = typeText(type)
    if (NOT_EXCHANGEABLE.test(text) || LOSSY.test(text)) return text
    if (CAST_BACK_ONLY_ALONE.test(text) && !IS_ALONE.test(text)) return text
  }
  return undefined
}

export interface DraftInput {
  readonly stream: Stream
  /** The relation that the stream makes, whole. */
  readonly of: Relation
  readonly needed: ReadonlySet<string>
  readonly keys?: readonly Expression[] | undefined
  readonly content?: Content | undefined
  readonly why: string
  readonly expected?: Size | undefined
}

/** The exchanges that are thought of while a query is cut; those that the final plan reads are kept. */
export class Drafts {
  readonly #costs: Costs
  readonly #made: readonly Made[]
  readonly #drafts: Draft[] = []
  readonly #originals = new WeakMap<Relation, Relation>()

  /** `made`: exchanges that are there, which are used where they carry what is wanted. */
  constructor(costs: Costs, made: readonly Made[] = []) {
    this.#costs = costs
    this.#made = made
  }

  /** Says which relation of the logical plan one that was made of it stands for: by that one exchanges are known. */
  standsFor(relation: Relation, original: Relation): void {
    // What stands for a part that itself stands for another stands for that one.
    this.#originals.set(relation, this.#originalOf(original))
  }

  get(id: number): Draft {
    const draft = this.#drafts[id]
    if (draft === undefined) throw new Error(`there is no exchange ${id}`)
    return draft
  }

  /** How large what an exchange carries is expected to be. */
  sizeOf(id: number): Size {
    const { made, expected, of, columns, content } = this.get(id)
    const known = made?.size ?? expected
    if (known !== undefined) return known
    // Parts of an aggregation have other columns than the whole.
    if (content === 'partial') return this.#costs.size(of)
    return this.#costs.sizeOf(of, new Set(columns.map((c) => c.name)))
  }

  /** Rows that are expected of a relation over these exchanges. */
  rowsOf(relation: Relation): number {
    return this.#costs.size(relation).rows
  }

  /** The rows of a relation where they have been written, in whatever buckets. */
  madeRows(of: Relation, needed: ReadonlySet<string>): ExchangeRelation | undefined {
    const made = this.#find({ of, needed, content: 'rows' })
    return made === undefined ? undefined : this.#reuse(made)
  }

  /** The size of the rows of a relation where they have been written. */
  madeSize(of: Relation, needed: ReadonlySet<string>): Size | undefined {
    return this.#find({ of, needed, content: 'rows' })?.size
  }

  /** True where an exchange for just this has been written. */
  isMade(input: Pick<DraftInput, 'of' | 'needed' | 'content' | 'keys'>): boolean {
    return this.#madeFor(input) !== undefined
  }

  #madeFor({
    of,
    needed,
    ...input
  }: Pick<DraftInput, 'of' | 'needed' | 'content' | 'keys'>): Made | undefined {
    const keys = input.keys ?? []
    return this.#find({ of, needed, content: input.content ?? 'rows', keys })
  }

  #find({ keys, ...wanted }: Wanted & { readonly keys?: readonly Expression[] }): Made | undefined {
    const of = this.#originalOf(wanted.of)
    return this.#made.find(
      ({ draft }) =>
        isMadeFor(draft, { ...wanted, of }) && (keys === undefined || equalIr(draft.keys, keys)),
    )
  }

  #originalOf(relation: Relation): Relation {
    return this.#originals.get(relation) ?? relation
  }

  #reuse(made: Made): ExchangeRelation {
    const known = this.#drafts.find((draft) => draft.made === made)
    const id = known?.id ?? this.#drafts.length
    if (known === undefined) {
      this.#drafts.push({ ...made.draft, id, made })
      this.#costs.noteExchange(id, made.draft.of, made.size)
    }
    return { kind: 'exchange', exchange: id, columns: made.draft.columns }
  }

  /** A new exchange of the needed columns of a stream. */
  add(input: DraftInput): ExchangeRelation {
    const there = this.#madeFor(input)
    if (there !== undefined) return this.#reuse(there)
    const { stream } = input
    const of = this.#originalOf(input.of)
    const first = stream.branches[0]
    if (first === undefined) throw new Error('a stream has a branch')
    const made = columnsOf(first.relation)
    const columns = made.filter((c) => input.needed.has(c.name))
    // A table has at least one column, also where only the number of rows matters.
    const carried = columns.length > 0 ? columns : made.slice(0, 1)
    if (carried.length === 0) throw new NotDistributable('rows without columns')
    const unfit = unfitType(carried)
    if (unfit !== undefined)
      throw new NotDistributable(`a value of type ${unfit} cannot be exchanged without loss`)
    const id = this.#drafts.length
    const { content = 'rows' } = input
    const expected = input.expected ?? this.#ownSize(input, carried)
    this.#drafts.push({
      id,
      stream,
      columns: carried,
      lacking: lackingOf([...made, ...(isOfColumns(content) ? columnsOf(of) : [])], carried),
      keys: input.keys ?? [],
      of,
      content,
      why: input.why,
      expected,
    })
    this.#costs.noteExchange(id, input.of, expected)
    return { kind: 'exchange', exchange: id, columns: carried }
  }

  /** What is expected of a relation that stands for one of which it may have only a part. */
  #ownSize({ of, content }: DraftInput, columns: readonly PlanColumn[]): Size | undefined {
    if (this.#originalOf(of) === of) return undefined
    if (content === 'partial') return this.#costs.size(of)
    return this.#costs.sizeOf(of, new Set(columns.map((c) => c.name)))
  }

  /** The stream as one task reads it; what one task makes already stays as it is. */
  gather(input: DraftInput): Stream {
    if (singleBranch(input.stream) !== undefined) return input.stream
    return streamOf(this.add(input), SINGLE)
  }

  /** The stream in buckets by the hash of `keys`. */
  shuffle(input: DraftInput & { readonly keys: readonly Expression[] }): Stream {
    const exchange = this.add(input)
    const source: Source = {
      kind: 'buckets',
      exchanges: [exchange.exchange],
      keys: [input.keys],
    }
    return streamOf(exchange, source)
  }
}

/** What is carried has the columns of its relation; parts of an aggregation, and bounds, have others. */
const isOfColumns = (content: Content): boolean => content !== 'partial' && content !== 'bounds'

function lackingOf(
  all: readonly PlanColumn[],
  carried: readonly PlanColumn[],
): readonly PlanColumn[] {
  const names = new Set(carried.map(({ name }) => name))
  return all.filter(({ name }) => !names.has(name))
}

interface Wanted {
  readonly of: Relation
  readonly needed: ReadonlySet<string>
  readonly content: Content
}

/** True where an exchange carries at least the needed columns of just this. */
const isMadeFor = (draft: Draft, wanted: Wanted): boolean =>
  draft.of === wanted.of &&
  draft.content === wanted.content &&
  draft.lacking.every((c) => !wanted.needed.has(c.name))
