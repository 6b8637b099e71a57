import type { Fragment } from '../plan/physical-plan.ts'

/** Tasks of a query are numbered through: those of fragment n from n times this. */
export const TASKS_PER_FRAGMENT_MAX = 100_000

/** The number in the query of a fragment's task. */
export const numberOf = (fragment: Pick<Fragment, 'id'>, index: number): number =>
  fragment.id * TASKS_PER_FRAGMENT_MAX + index

/** Names an attempt within its query. */
export const attemptKey = (
  fragment: Pick<Fragment, 'id'>,
  index: number,
  attempt: number,
): string => `${fragment.id}/${index}/${attempt}`
