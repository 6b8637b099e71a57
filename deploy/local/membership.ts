import { connect } from '@nyala/client'
import type { Clock } from '@nyala/client/base'
import { type Layout } from './layout.ts'
import { LauncherError } from './launcher-error.ts'
import { LOOPBACK } from './ports.ts'

/** Members find one another through etcd within a lease; this is for a machine that is very busy. */
const JOINED_TIMEOUT_MS = 20_000
const POLL_MS = 25

/**
 * Resolves when every coordinator knows a leader and is connected with every executor: from then on any statement can
 * be sent to any of them. A member that is ready by itself may not have been found by the others yet.
 */
export async function membersJoined(
  layout: Layout,
  clock: Clock,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const deadline = clock.now() + JOINED_TIMEOUT_MS
  const executors = layout.executors.map(({ id }) => id)
  await Promise.all(
    layout.coordinators.map(async ({ id, port }) => {
      await using db = await connect({ url: `nyala://${LOOPBACK}:${port}`, ...options })
      for (;;) {
        const { leader, members } = await db.status(options.signal)
        const alive = members.filter((one) => one.state === 'alive').map((one) => one.id)
        const absent = executors.filter((executor) => !alive.includes(executor))
        if (leader !== null && absent.length === 0) return
        if (clock.now() >= deadline) {
          throw new LauncherError(
            `coordinator "${id}" ${leader === null ? 'knows no leader' : `is not connected with ${absent.join(', ')}`} after ${JOINED_TIMEOUT_MS} ms`,
          )
        }
        await clock.sleep(POLL_MS, options)
      }
    }),
  )
}
