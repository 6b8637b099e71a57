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
export type Content = 'rows' | 'partial' | 'distinct' | 'limited'

/** An exchange that may become part of the plan. */
export interface Draft {
  readonly id: number
  readonly stream: Stream
  readonly columns: readonly PlanColumn[]
  /** Expressions over `columns` whose hash says the bucket; none for an exchange that is not in buckets. */
  readonly keys: readonly Expression[]
  /** The relation whose rows, or parts, it carries. */
  readonly of: Relation
  readonly content: Content
  /** Why it is there, for EXPLAIN. */
  readonly why: string
}

/** An exchange that has been written, and how large it is. */
export interface Measured extends Size {
  readonly buckets: readonly Size[]
}

/** Types that do not come back from a segment as they went in. */
const NOT_EXCHANGEABLE = /UNION|BIGNUM|VARIANT|GEOMETRY|"NULL"/
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
}

/** The exchanges that are thought of while a query is cut; those that the final plan reads are kept. */
export class Drafts {
  readonly #costs: Costs
  readonly #drafts: Draft[] = []
  readonly #sizes = new Map<number, () => Size>()

  constructor(costs: Costs) {
    this.#costs = costs
  }

  get(id: number): Draft {
    const draft = this.#drafts[id]
    if (draft === undefined) throw new Error(`there is no exchange ${id}`)
    return draft
  }

  /** How large what an exchange carries is expected to be. */
  sizeOf(id: number): Size {
    return this.#sizes.get(id)?.() ?? { rows: 0, bytes: 0 }
  }

  /** A new exchange of the needed columns of a stream. */
  add(input: DraftInput): ExchangeRelation {
    const { stream, of } = input
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
    this.#drafts.push({
      id,
      stream,
      columns: carried,
      keys: input.keys ?? [],
      of,
      content: input.content ?? 'rows',
      why: input.why,
    })
    this.#sizes.set(id, () => this.#costs.size(of))
    return { kind: 'exchange', exchange: id, columns: carried }
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
