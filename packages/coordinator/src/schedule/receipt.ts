import type { Clock, Deferred } from '@nyala/client/base'

/** A client that has all of a result says so at once; one that does not say it has gone, or soon will have. */
export const RECEIPT_TIMEOUT_MS = 10_000

export interface Receipt {
  readonly clock: Clock
  /** Resolves when the client has said that it has everything. */
  readonly received: Deferred<void>
  /** Aborted when the client cancels its call, has gone, or asks elsewhere. */
  readonly signal: AbortSignal
  /** The client could still ask elsewhere for what is served to it here, and nobody else has it in his care. */
  isServed(): boolean
  /** Gives up what is kept for the client. */
  end(): void
}

/**
 * Waits until the client has what was sent, where it could still ask for it, and ends what is kept for that. So does a
 * cancel that comes only now; but where the client has gone, or asks elsewhere, its result is somebody else's care.
 */
export async function settleReceipt({
  clock,
  received,
  signal,
  isServed,
  end,
}: Receipt): Promise<void> {
  if (!isServed()) return
  const stop = (): void => received.resolve()
  const stopTimer = clock.after(RECEIPT_TIMEOUT_MS, stop)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  await received.promise
  stopTimer()
  signal.removeEventListener('abort', stop)
  if (isServed()) end()
}
