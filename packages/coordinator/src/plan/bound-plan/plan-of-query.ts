import type { Column } from '@nyala/client/protocol'
import type { KernelFunctions } from '../../bind/functions.ts'
import type { Mirror, SerialisedPlan } from '../../bind/mirror.ts'
import type { Query } from '../../sql/ir.ts'
import type { LogicalPlan } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'
import { readBoundPlan } from './read-bound-plan.ts'

export interface QueryToPlan {
  /** Bound, its scans marked. */
  readonly query: Query
  readonly scans: readonly Scan[]
  /** The columns of its result. */
  readonly columns: readonly Column[]
}

/** The logical plan of a query by way of the kernel's binder; or why there is none, in words that follow "one fragment: ". */
export async function planOfQuery(
  { query, scans, columns }: QueryToPlan,
  using: {
    readonly mirror: Mirror
    readonly functions: KernelFunctions
    readonly database: string
    /** The kernel's plan, where it has been asked for already. */
    readonly bound?: Promise<SerialisedPlan | undefined> | undefined
  },
): Promise<LogicalPlan | string> {
  const bound = await (using.bound ?? using.mirror.boundPlan(query, scans, using.database))
  if (bound === undefined) return 'its bound plan is too long to be read'
  return readBoundPlan(bound.json, { tables: bound.tables, functions: using.functions, columns })
}
