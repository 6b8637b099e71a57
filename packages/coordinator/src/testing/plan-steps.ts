import type { Clock } from '@nyala/client/base'
import { Emitter, isDistributed } from '../plan/fragment/emit.ts'
import { cheapest, type PlanOptions } from '../plan/planner.ts'
import { readBoundPlan } from '../plan/bound-plan/read-bound-plan.ts'
import type { PlanningWorld } from './planning-world.ts'

/** The steps between a text and its distributed plan, in their order. */
export const PLAN_STEPS = ['parse', 'bind', 'bound plan', 'read', 'rules', 'fragments', 'render']
export type PlanStep = (typeof PLAN_STEPS)[number]

/**
 * Plans a text as the coordinator does, step by step: the milliseconds of each. The last steps are missing where the
 * query is not distributed.
 */
export async function timePlanSteps(
  world: PlanningWorld,
  sql: string,
  { options, clock }: { readonly options: PlanOptions; readonly clock: Clock },
): Promise<ReadonlyMap<PlanStep, number>> {
  const steps = new Map<PlanStep, number>()
  let last = clock.now()
  const end = (step: PlanStep): void => {
    const now = clock.now()
    steps.set(step, now - last)
    last = now
  }
  const body = await world.frontEnd.parseQuery(sql, { dialect: 'ansi' })
  end('parse')
  const bound = await world.bindBody(body, sql)
  end('bind')
  const { query, columns = [] } = bound
  const serialised = await world.mirror.boundPlan(query, bound.scans, 'default')
  end('bound plan')
  if (serialised === undefined) return steps
  const { json, tables } = serialised
  const plan = readBoundPlan(json, { tables, functions: world.functions, columns })
  end('read')
  if (typeof plan === 'string') return steps
  const best = world.optimized(plan, bound)
  end('rules')
  const scans = new Map(bound.scans.map((scan) => [scan.id, scan]))
  const input = { ...bound, functions: world.functions, options }
  const { plan: chosen, stream, fragmenter } = cheapest(best, input)
  if (isDistributed(stream, fragmenter.drafts)) {
    end('fragments')
    const on = { slots: options.slots, firstExchange: 0, firstFragment: 0, scans }
    new Emitter(fragmenter.drafts, on).result(stream, chosen, undefined)
    end('render')
  }
  return steps
}
