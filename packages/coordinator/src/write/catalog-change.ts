import type { CatalogPlan, PlanContext } from '@nyala/metastore'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { StatementIdentity } from './committer.ts'
import type { WriteRuns } from './write-run.ts'

interface Change<T> {
  readonly runs: Pick<WriteRuns, 'once' | 'execute'>
  readonly context: StatementContext
  readonly command: string
  readonly plan: (context: PlanContext) => CatalogPlan<T>
  /** What is to be said of what was done. */
  readonly notice?: ((value: T) => string | undefined) | undefined
}

/**
 * Does what a plan of the catalog says, once under the statement's id: what it came to is kept under that in the same
 * commit, so that a statement whose answer was lost is answered when it is sent again, and not done again.
 */
export const changeCatalog = <T>(change: Change<T>): Promise<StatementOutcome> =>
  change.runs.once(change.context, (identity) => executeChange(change, identity))

/** The same, of a statement whose id has no outcome yet. */
export async function executeChange<T>(
  { runs, context, command, plan, notice }: Change<T>,
  identity: StatementIdentity,
): Promise<StatementOutcome> {
  const done = await runs.execute({ identity, context, command }, plan)
  const said = notice?.(done.value)
  if (said !== undefined) context.notices.push(said)
  return { command, revision: done.revision }
}
