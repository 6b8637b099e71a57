import { type Clock, isMutant } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { settingOf, type SettingValues } from '../bind/settings.ts'
import type { ResultRelay } from '../schedule/result-relay.ts'
import { every } from '../schedule/speculation.ts'

/** How often it is looked at whether a client reads on; a wait that ends and begins between two looks is one wait. */
const LOOK_MS = 250

/**
 * Tells of a result that waits for its client to read on, for so long without one more byte of it leaving: it holds memory
 * of executors, and the place of other queries. The result stops it.
 */
export function watchReader(
  relay: Pick<ResultRelay, 'isBlocked' | 'bytes'>,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
  expire: (error: SqlError) => void,
): () => void {
  if (timeoutMs === 0 || isMutant('no-reader-watch')) return () => undefined
  let [sinceMs, bytes] = [clock.now(), relay.bytes]
  return every(clock, LOOK_MS, () => {
    if (!relay.isBlocked || relay.bytes !== bytes) {
      sinceMs = clock.now()
      bytes = relay.bytes
    } else if (clock.now() - sinceMs >= timeoutMs) {
      expire(notRead(timeoutMs))
    }
  })
}

const notRead = (timeoutMs: number): SqlError =>
  new SqlError('statement_timeout', `no row of the result was read for ${timeoutMs / 1_000} s`, {
    hint: 'read results on as they come, or raise the setting idle_result_timeout_s; 0 waits for ever',
  })

/** The limits that the settings of a session put on the time of one statement. The result stops them. */
export function watchLimits(
  settings: SettingValues,
  { relay, clock }: { readonly relay: ResultRelay; readonly clock: Clock },
  expire: (error: SqlError) => void,
): () => void {
  const msOf = (name: string): number =>
    Number(settings[name] ?? settingOf(name).default) * MS_PER_SECOND
  const runMs = msOf('query_timeout_s')
  const stopRun = runMs > 0 ? clock.after(runMs, () => expire(tooLong(runMs))) : undefined
  const timeoutMs = msOf('idle_result_timeout_s')
  const stopReader = watchReader(relay, { clock, timeoutMs }, expire)
  return () => {
    stopRun?.()
    stopReader()
  }
}
const MS_PER_SECOND = 1_000

const tooLong = (ms: number): SqlError =>
  new SqlError('statement_timeout', `the statement ran longer than ${ms / MS_PER_SECOND} s`, {
    hint: 'raise the setting query_timeout_s, or SET query_timeout_s = 0',
  })
