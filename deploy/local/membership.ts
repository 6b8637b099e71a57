import { connect } from '@nyala/client'
import type { Clock } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import type { Layout } from './layout.ts'
import { LauncherError } from './launcher-error.ts'
import { LOOPBACK } from './ports.ts'

/** Members find one another through etcd within a lease; this is for a machine that is very busy. */
const JOINED_TIMEOUT_MS = 20_000
const POLL_MS = 25

interface JoinOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Resolves when every coordinator knows a leader and is connected with every executor: from then on any statement can
 * be sent to any of them. A member that is ready by itself may not have been found by the others yet.
 */
export async function membersJoined(
  layout: Layout,
  clock: Clock,
  options: JoinOptions = {},
): Promise<void> {
  const deadline = clock.now() + JOINED_TIMEOUT_MS
  const executors = layout.executors.map(({ id }) => id)
  await Promise.all(
    layout.coordinators.map(async ({ id, port }) => {
      for (;;) {
        const missing = await missingAt(`nyala://${LOOPBACK}:${port}`, executors, options)
        if (missing === undefined) return
        if (clock.now() >= deadline) {
          throw new LauncherError(`coordinator "${id}" ${missing} after ${JOINED_TIMEOUT_MS} ms`)
        }
        await clock.sleep(POLL_MS, options)
      }
    }),
  )
}

/** What a coordinator still lacks; undefined when it lacks nothing. */
async function missingAt(
  url: string,
  executors: readonly string[],
  { signal }: JoinOptions,
): Promise<string | undefined> {
  try {
    await using db = await connect({ url, signal, retry: { attempts: 1 } })
    const { leader, members } = await db.status(signal)
    if (leader === null) return 'knows no leader'
    const alive = members.filter((one) => one.state === 'alive').map((one) => one.id)
    const absent = executors.filter((executor) => !alive.includes(executor))
    return absent.length === 0 ? undefined : `is not connected with ${absent.join(', ')}`
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof SqlError) return `says: ${error.message}`
    throw error
  }
}
