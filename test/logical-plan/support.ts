import { readFile } from 'node:fs/promises'
import {
  type BoundQuery,
  type LogicalPlan,
  type PlanningWorld,
  renderQuery,
  toQuery,
} from '@nyala/coordinator/testing'
import { isKernelBug, KERNEL_BUG } from '../random-queries/check.ts'
import { difference, type Expectation } from '../random-queries/compare.ts'
import { type Rows, runText } from '../random-queries/run.ts'
import type { RandomWorld } from '../random-queries/world.ts'

/** The queries lie with the sources, one level above what is compiled of them. */
export const DIRECTORY = new URL('../../logical-plan/', import.meta.url)

export interface ReadQuery {
  readonly bound: BoundQuery
  /** The plan, or why there is none. */
  readonly plan: LogicalPlan | string
}

export async function readPlan(world: PlanningWorld, sql: string): Promise<ReadQuery> {
  const bound = await world.bind(sql)
  return { bound, plan: await world.logicalPlan(bound) }
}

/** The statement that a plan is written as, its scans being tables of these names. */
export function statementOf(
  plan: LogicalPlan,
  bound: BoundQuery,
  how: { readonly layout: 'compact' | 'readable'; readonly table: (name: string) => string },
): string {
  const names = new Map(bound.scans.map((scan) => [scan.id, scan]))
  const scanName = (id: number): string => names.get(id)?.alias ?? 't'
  const text = renderQuery(toQuery(plan.root, plan.outputs, { scanName }), { layout: how.layout })
  return text.replaceAll(/"\u0000scan (\d+)\u0000"/g, (_, id: string) =>
    how.table(names.get(Number(id))?.table ?? ''),
  )
}

/** In what the answer of a plan, written as one statement, is not what was wanted; `KERNEL_BUG` where it has none. */
export async function wrongIn(
  world: RandomWorld,
  { bound, plan }: { readonly bound: BoundQuery; readonly plan: LogicalPlan },
  wanted: Rows,
  expectation: Expectation,
): Promise<string | undefined> {
  const table = (name: string): string => `"default"."${name}"`
  const text = statementOf(plan, bound, { layout: 'compact', table })
  try {
    const why = difference(wanted, await runText(world.reference, text), expectation)
    return why === undefined ? undefined : `${why}\n${text}`
  } catch (error) {
    return isKernelBug(error) ? KERNEL_BUG : `${(error as Error).message}\n${text}`
  }
}

/** Statements that are separated by semicolons at ends of lines. */
export async function readStatements(file: string): Promise<readonly string[]> {
  const text = await readFile(new URL(file, DIRECTORY), 'utf8')
  return text.split(/;\s*\n/).flatMap((sql) => (sql.trim() === '' ? [] : [sql.trim()]))
}
