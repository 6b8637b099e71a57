import { isMutant } from '@nyala/client/base'
import type { Fragment } from '../plan/physical-plan.ts'
import * as stages from './stage.ts'

/**
 * What has to run again when outputs of stages that have ended can no longer be read, pure: where an executor is gone
 * with them, or where nobody is left that reaches all of those that have them.
 */
export interface RepairedStage {
  readonly fragment: Pick<Fragment, 'repeatable'>
  readonly state: stages.StageState
}

/** What can no longer be read. */
export interface Loss {
  /** Executors whose outputs have to be made again. */
  readonly lost: ReadonlySet<string>
  /** Others where they must not be made, as whoever is to read them does not reach these either. */
  readonly missed: ReadonlySet<string>
}

export const NO_LOSS: Loss = { lost: new Set(), missed: new Set() }

/**
 * Marks what was lost as not yet run, for the stages up to number `index`, which is the one that was running. `first`:
 * the earliest stage that has to run again. What was lost is made elsewhere than on any of `lost` and `missed`, if it can.
 */
export function loseOutputs(
  reports: readonly RepairedStage[],
  index: number,
  { lost, missed }: Loss,
): { readonly states: readonly stages.StageState[]; readonly first: number } {
  let first = index
  // Once rows have been chosen anew, nothing that saw the earlier choice may stay.
  let chosenAnew = false
  const avoid = new Set([...lost, ...missed])
  const states = reports.slice(0, index + 1).map(({ fragment, state }, i) => {
    const after = chosenAnew
      ? stages.toBeginning(state, missed)
      : i < index
        ? stages.onExecutorsLost(state, lost, avoid)
        : state
    if (stages.isDone(after)) return after
    first = Math.min(first, i)
    chosenAnew ||= !fragment.repeatable && i < index
    return after
  })
  return { states, first }
}

/** What was lost may be made again, though rows were delivered that were made of it: it will be the same rows. */
export function isSameAgain(reports: readonly RepairedStage[], lost: ReadonlySet<string>): boolean {
  if (isMutant('no-rerun-after-rows')) return false
  return reports.every(
    ({ fragment, state }) =>
      !stages.isOrderBegun(state) && (fragment.repeatable || !stages.hasRunOn(state, lost)),
  )
}

export interface Cuts {
  /** Executors that can be given tasks. */
  readonly consumers: readonly string[]
  /** Those that have what is to be read. */
  readonly producers: ReadonlySet<string>
  /** Those that an executor did not reach lately, or that did not reach it. */
  missedBy(executor: string): ReadonlySet<string>
}

/**
 * Producers whose outputs have to be made again because no consumer reaches all of them: those that one consumer misses,
 * the one for which the least has to run again. None where some consumer reaches all. On its side of the cut everything
 * can be read afterwards, so this ends, also with two executors that do not reach each other; and as nothing is made where
 * that consumer does not reach it, with three of which one reaches neither of the others.
 */
export function lostToCuts(
  reports: readonly RepairedStage[],
  { consumers, producers, missedBy }: Cuts,
): Loss {
  if (isMutant('no-one-side')) return NO_LOSS
  const choices = consumers.map((id) => {
    const missed = missedBy(id)
    const lost = new Set([...missed].filter((other) => producers.has(other)))
    return { loss: { lost, missed }, tasks: tasksOn(reports, lost) }
  })
  const [best] = choices.toSorted((a, b) => a.tasks - b.tasks)
  return best?.loss ?? NO_LOSS
}

const tasksOn = (reports: readonly RepairedStage[], executors: ReadonlySet<string>): number =>
  reports.reduce(
    (sum, { state }) =>
      sum +
      state.tasks.filter((task) => task.kind === 'finished' && executors.has(task.executor)).length,
    0,
  )

/** Complaints about one executor after which what it wrote is made again: the first may be the reader's or the link's. */
const COMPLAINTS_MAX = 2

/** Counts tasks that found segments of an executor that lives to be gone or damaged. */
export class Complaints {
  readonly #counts = new Map<string, number>()

  /** True where there are enough of them; they are counted anew then. */
  add(executor: string): boolean {
    const count = (this.#counts.get(executor) ?? 0) + 1
    this.#counts.set(executor, count)
    if (count < COMPLAINTS_MAX) return false
    return this.#counts.delete(executor)
  }
}
