import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Executors } from './executors.ts'

/** How long a task waits for any executor to be connected. */
const NO_EXECUTORS_TIMEOUT_MS = 10_000
/** Others may go on with a query after so long: an executor that is only replaced has dialled again by then. */
const HAND_ON_MS = 1_000

export interface WatchOptions {
  readonly clock: Clock
  readonly executors: Executors
  /** True where another coordinator can go on with the query from where it is. */
  readonly isKept: () => boolean
}

/**
 * A cluster that has lost its executors answers with an error in time, not with silence; a coordinator that alone has
 * lost them sends its clients on, with `cannot_connect_now`. `check` is called on every change of the executors.
 */
export function watchExecutors(
  { clock, executors, isKept }: WatchOptions,
  fail: (error: SqlError) => void,
): { check(): void; stop(): void } {
  let stopTimers: (() => void) | undefined
  let stopLooking: (() => void) | undefined
  const look = (): void => {
    if (isKept()) return fail(noExecutors(HAND_ON_MS))
    if (executors.isCutOff) return fail(cutOff())
    // What others see of the executors may come later.
    stopLooking = clock.after(HAND_ON_MS, look)
  }
  const start = (): (() => void) => {
    if (!isMutant('no-handing-on')) stopLooking = clock.after(HAND_ON_MS, look)
    return clock.after(NO_EXECUTORS_TIMEOUT_MS, () => fail(noExecutors(NO_EXECUTORS_TIMEOUT_MS)))
  }
  const stop = (): void => {
    stopTimers?.()
    stopLooking?.()
    stopTimers = undefined
    stopLooking = undefined
  }
  const check = (): void => {
    if (executors.size > 0) stop()
    else stopTimers ??= start()
  }
  return { check, stop }
}

/** Nothing of a query has been delivered that this ends: it can run anew where executors are reached. */
export const cutOff = (): SqlError =>
  new SqlError('cannot_connect_now', 'this coordinator reaches no executor, though others do', {
    hint: 'send the statement to another coordinator',
  })

const noExecutors = (ms: number): SqlError =>
  new SqlError('no_executors', `no executor has been connected for ${ms / 1000} s`, {
    hint: 'see `nyala status` for the members of the cluster',
  })
