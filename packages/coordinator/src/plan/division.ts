import type { Column } from '@nyala/client/protocol'
import type { KernelFunctions } from '../bind/functions.ts'
import type { BaseTable, ColumnRef, Query } from '../sql/ir.ts'

/**
 * Cutting a query in two: a partial query that each task runs over a part of one table's files, and a final query over
 * the rows of all partial ones. Sound because each rule below takes only queries Q for which
 *
 *     Q(T₁ ∪ … ∪ Tₙ, R…) = final(partial(T₁, R…) ∪ all … ∪ all partial(Tₙ, R…))
 *
 * where T is the divided table and R are all others, read whole by every task. Whatever is not recognised is left
 * alone, and runs as one fragment.
 */
export interface Division {
  readonly rule: 'aggregate' | 'distinct' | 'topN' | 'rows'
  /** The scan whose files are divided. */
  readonly scan: number
  readonly partial: Query
  /** The query over the exchange; absent where the partial rows are the result. */
  readonly final?: ((exchange: BaseTable) => Query) | undefined
}

/** The name of the exchange in a final query. */
export const EXCHANGE_ALIAS = 'parts'

export interface DivideContext {
  /** Columns of the result, as the user sees them. */
  readonly columns: readonly Column[]
  /** Names of the columns of a scan; empty where the number is not known. */
  scanColumns(scan: number): readonly string[]
  /** Bytes of a scan's files. */
  scanBytes(scan: number): number
  readonly functions: KernelFunctions
}

/** Columns of the exchange: keys, then values of partial aggregates. */
export const keyName = (i: number): string => `key_${i}`
export const valueName = (i: number): string => `value_${i}`

/**
 * A column of the exchange. It is named with its table, as an alias of the user's may be spelt like it, and in ORDER BY
 * and HAVING an alias comes before a column.
 */
export const part = (name: string): ColumnRef => ({ kind: 'column', path: [EXCHANGE_ALIAS, name] })
