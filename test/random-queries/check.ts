import { Prng } from '@nyala/client/base'
import type { PhysicalPlan, PlanOptions } from '@nyala/coordinator/testing'
import { difference, type Expectation } from './compare.ts'
import { QueryGenerator } from './generate.ts'
import { type GeneratedQuery, orderOf, queryText } from './query.ts'
import { type Rows, runPlan, runText, TooManyRows } from './run.ts'
import type { RandomWorld } from './world.ts'

export type Verdict =
  | { readonly kind: 'same'; readonly plan: PhysicalPlan; readonly rows: number }
  /** The reference has no answer either, or one that is too large. */
  | { readonly kind: 'skipped'; readonly why: string }
  | { readonly kind: 'wrong'; readonly why: string; readonly plan: PhysicalPlan | undefined }

export const KERNEL_BUG = 'a bug of the kernel'

/** One case: a query and the cluster that it runs on. */
export interface Case {
  readonly seed: number
  readonly query: GeneratedQuery
  readonly options: PlanOptions
}

export function caseOf(seed: number): Case {
  const random = new Prng(seed)
  // A stream of its own for the cluster, so that shrinking a query leaves it alone.
  const executors = random.below(5) + 1
  const slots = executors * (random.below(3) + 1)
  const options: PlanOptions = {
    distribution: random.chance(0.97) ? 'force' : 'auto',
    distributionMinBytes: 0,
    broadcastMaxBytes: 2 ** 40,
    slots,
    executors,
  }
  return { seed, query: new QueryGenerator(random).query(), options }
}

export async function checkCase(world: RandomWorld, { query, options }: Case): Promise<Verdict> {
  const { columns, total } = orderOf(query)
  return checkText(world, queryText(query), {
    options,
    expectation: { ordered: columns, complete: query.limit === undefined || total },
  })
}

/** Runs one text both ways. */
export async function checkText(
  world: RandomWorld,
  sql: string,
  how: { readonly options: PlanOptions; readonly expectation: Expectation },
): Promise<Verdict> {
  let wanted: Rows
  try {
    wanted = await runText(world.reference, sql)
  } catch (error) {
    return { kind: 'skipped', why: (error as Error).message }
  }
  let plan: PhysicalPlan | undefined
  try {
    plan = (await world.planning.plan(sql, how.options)).plan
    const got = await runPlan(plan, { ...world, slots: how.options.slots })
    const why = difference(wanted, got, how.expectation)
    if (why === undefined) return { kind: 'same', plan, rows: got.rows.length }
    return { kind: 'wrong', why, plan }
  } catch (error) {
    if (error instanceof TooManyRows) return { kind: 'skipped', why: error.message }
    if (isKernelBug(error)) return { kind: 'skipped', why: KERNEL_BUG }
    return { kind: 'wrong', why: `fails: ${(error as Error).message}`, plan }
  }
}

/** An assertion of the kernel's own: the statement is right, but this version of the kernel cannot run it. */
const isKernelBug = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith('INTERNAL Error')

/** True when a plan runs in more than one place. */
export const isDivided = (plan: PhysicalPlan): boolean =>
  plan.fragments.length > 1 || plan.fragments.some((f) => (f.divided?.groups.length ?? 1) > 1)
