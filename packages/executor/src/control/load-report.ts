import type { FromExecutor } from '../protocol/index.ts'

export type Load = Extract<FromExecutor, { kind: 'load' }>

/** A sixteenth of what counts as a busy slot where tasks are placed. */
const QUEUED_BYTES_STEP = 1024 * 1024
/** Only shown to people. */
const EXCHANGE_BYTES_STEP = 16 * 1024 * 1024

/** True while the numbers can change without anybody saying so. */
export const isBusy = (load: Load): boolean => load.tasksRunning > 0 || load.queuedBytes > 0

/** True where a coordinator would place tasks otherwise for knowing `next`. */
export function isWorthTelling(last: Load | undefined, next: Load): boolean {
  if (last === undefined) return true
  if (last.tasksRunning !== next.tasksRunning || last.tasksOwned !== next.tasksOwned) return true
  if (last.memoryReservedBytes !== next.memoryReservedBytes) return true
  if (last.kernels !== next.kernels || last.draining !== next.draining) return true
  return (
    hasMoved(last.queuedBytes, next.queuedBytes, QUEUED_BYTES_STEP) ||
    hasMoved(last.exchangeBytes, next.exchangeBytes, EXCHANGE_BYTES_STEP)
  )
}

/** To nothing, or by a step. */
const hasMoved = (last: number, next: number, step: number): boolean =>
  Math.abs(next - last) >= step || (last !== next && next === 0)
