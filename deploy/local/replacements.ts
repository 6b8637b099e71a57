import type { Clock, Log } from '@nyala/client/base'
import { LaunchAgent, type Launcher } from '@nyala/coordinator/failover'
import { Board, connectKv, Keys } from '@nyala/metastore'

export interface ReplacementsOptions {
  readonly etcdEndpoints: readonly string[]
  readonly cluster: string
  readonly clock: Clock
  readonly log: Log
  readonly launcher: Launcher
}

/**
 * Hears, through etcd, which executors the cluster's leader wants started anew: those whose process has ended are back
 * by themselves, but one that hangs only the leader misses. The result ends it.
 */
export function hearReplacements(options: ReplacementsOptions): () => Promise<void> {
  const stopping = new AbortController()
  const running = (async (): Promise<void> => {
    const { clock, log } = options
    const kv = await connectKv({ endpoints: options.etcdEndpoints, clock, log })
    const on = { kv, keys: new Keys(options.cluster), clock, log }
    const board = new Board(on)
    try {
      await board.start({ signal: stopping.signal })
      const agent = new LaunchAgent({ ...on, board, launcher: options.launcher })
      agent.start()
      await aborted(stopping.signal)
      agent.stop()
    } finally {
      await board.stop()
      await kv.close()
    }
  })()
  running.catch((error: unknown) => {
    if (!stopping.signal.aborted) options.log.warn('replacementsNotHeard', { error })
  })
  return async () => {
    stopping.abort(new Error('the supervisor stops'))
    await running.catch(() => undefined)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
