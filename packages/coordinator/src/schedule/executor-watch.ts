import type { Clock } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Executors } from './executors.ts'

/** How long a task waits for any executor to be connected. */
const NO_EXECUTORS_TIMEOUT_MS = 10_000

/**
 * A cluster that has lost its executors answers with an error in time, not with silence. `check` is called on every
 * change of the executors.
 */
export function watchExecutors(
  { clock, executors }: { readonly clock: Clock; readonly executors: Executors },
  fail: (error: SqlError) => void,
): { check(): void; stop(): void } {
  let stopTimer: (() => void) | undefined
  const expire = (): void =>
    fail(
      new SqlError(
        'no_executors',
        `no executor has been connected for ${NO_EXECUTORS_TIMEOUT_MS / 1000} s`,
        { hint: 'see `nyala status` for the members of the cluster' },
      ),
    )
  const stop = (): void => {
    stopTimer?.()
    stopTimer = undefined
  }
  const check = (): void => {
    if (executors.size > 0) stop()
    else stopTimer ??= clock.after(NO_EXECUTORS_TIMEOUT_MS, expire)
  }
  return { check, stop }
}
