import type { Expression } from '../../sql/ir.ts'
import {
  columnRef,
  type ExchangeRelation,
  type PlanColumn,
  type Relation,
} from '../logical/relation.ts'
import { addColumns } from './columns.ts'
import { columnName } from '../logical/expressions.ts'

/**
 * What the tasks of a fragment divide among themselves. Everything else that a fragment reads, each of its tasks reads
 * whole.
 */
export type Source =
  /** One task. */
  | { readonly kind: 'single' }
  /** The files of a scan in any way. */
  | { readonly kind: 'scan'; readonly scan: number }
  /** The files of scans by a column of each, no value of which is in two tasks. */
  | { readonly kind: 'apart'; readonly scans: readonly ApartColumn[] }
  /** The segments of an exchange, in any way. */
  | { readonly kind: 'segments'; readonly exchange: number }
  /** Buckets of exchanges that were written by the same keys: a task has the same buckets of all of them. */
  | {
      readonly kind: 'buckets'
      readonly exchanges: readonly number[]
      /** Rows that agree in one of these lists of expressions are in one bucket. */
      readonly keys: readonly (readonly Expression[])[]
    }
  /** The rows of an exchange that each of them reads, by ranges of an order. */
  | { readonly kind: 'ranges'; readonly exchange: number; readonly count: number }

export interface ApartColumn {
  readonly scan: number
  /** The table's own name of it. */
  readonly column: string
}

/** A relation as the tasks of one fragment make it, each a part. */
export interface Branch {
  readonly relation: Relation
  readonly source: Source
}

/** A relation as the union of what the tasks of one or more fragments make. */
export interface Stream {
  readonly branches: readonly Branch[]
}

export const streamOf = (relation: Relation, source: Source): Stream => ({
  branches: [{ relation, source }],
})

export const SINGLE: Source = { kind: 'single' }

/** The scans that are divided among the tasks. */
export function dividedScans(source: Source): readonly number[] {
  if (source.kind === 'scan') return [source.scan]
  return source.kind === 'apart' ? source.scans.map(({ scan }) => scan) : []
}

/** The only branch of a stream that one task makes. */
export function singleBranch(stream: Stream): Branch | undefined {
  const [first] = stream.branches
  return stream.branches.length === 1 && first?.source.kind === 'single' ? first : undefined
}

/** The stream with every branch's relation changed by something that works row by row and keeps every column it needs. */
export const mapStream = (stream: Stream, change: (relation: Relation) => Relation): Stream => ({
  branches: stream.branches.map(({ relation, source }) => ({ relation: change(relation), source })),
})

/** The exchanges that a relation that is one reads. */
export const readsOf = ({ exchange, range }: ExchangeRelation): readonly number[] =>
  range === undefined ? [exchange] : [exchange, range.bounds]

/** The lists of keys by which the rows of a stream are in buckets. */
export function bucketKeys(stream: Stream): readonly (readonly Expression[])[] {
  const [first] = stream.branches
  if (stream.branches.length !== 1 || first?.source.kind !== 'buckets') return []
  return first.source.keys
}

/** The same stream, known to be in buckets by these keys alone. */
export function withKeys(stream: Stream, keys: readonly (readonly Expression[])[]): Stream {
  return {
    branches: stream.branches.map(({ relation, source }) => ({
      relation,
      source: source.kind === 'buckets' ? { ...source, keys } : source,
    })),
  }
}

/** Lists of keys in terms of the columns that are made of them; those of which something is not kept are dropped. */
export function keysThrough(
  keys: readonly (readonly Expression[])[],
  items: readonly { readonly column: PlanColumn; readonly expression: Expression }[],
  same: (a: Expression, b: Expression) => boolean,
): readonly (readonly Expression[])[] {
  return keys.flatMap((list) => {
    const through = list.map((key) => {
      const item = items.find((i) => same(i.expression, key))
      if (item !== undefined) return columnRef(item.column)
      const kept = [...addColumns(key, new Set())].every((name) =>
        items.some((i) => i.column.name === name && columnName(i.expression) === name),
      )
      return kept ? key : undefined
    })
    return through.every((key) => key !== undefined) ? [through] : []
  })
}
