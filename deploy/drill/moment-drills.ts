import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Failpoint } from '@nyala/client/base'
import { failpointLine } from '@nyala/metastore'
import type { Drill, Round } from './round.ts'
import { clientsGoOn, MOVED_MS } from './strikes.ts'

/** Moments of a query at which a coordinator can die with a defined outcome: the client gets what it asked for. */
const COORDINATOR_MOMENTS: readonly Failpoint[] = [
  'query.planning',
  'query.running',
  'query.recording',
  'query.planWritten',
  'query.recorded',
  'query.ending',
]

/** Drills that strike at failpoints: the first process that comes to the named moment is killed in it. */
export const MOMENT_DRILLS: readonly Drill[] = [
  {
    name: 'coordinator-kill-at-moments',
    summary: `SIGKILL of a coordinator at ${COORDINATOR_MOMENTS.join(', ')}`,
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 3_000 },
    failpoints: true,
    run: (round) => strikeAtAll(round, COORDINATOR_MOMENTS),
    mutant: { name: 'no-hold', fails: ['errors'] },
  },
  {
    name: 'executor-kill-at-task-end',
    summary: 'SIGKILL of an executor that is about to say that a task has ended',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 3_000 },
    failpoints: true,
    run: (round) => strikeAtAll(round, ['task.ending']),
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
]

/** Kills whoever comes first to each of these, one after another, each time that all clients work again. */
export async function strikeAtAll(round: Round, moments: readonly Failpoint[]): Promise<void> {
  for (const [i, name] of moments.entries()) {
    if (i > 0) await round.whole()
    await struckAt(round, name, { isFirst: i === 0 })
    await clientsGoOn(round)
  }
}

/**
 * Arms a failpoint and waits until somebody was struck there; the first strike is when time begins to count. Resolves with
 * who was struck.
 */
export async function struckAt(
  round: Round,
  name: Failpoint,
  how: {
    readonly isFirst: boolean
    readonly what?: 'kill' | 'stop'
  },
): Promise<string> {
  const { isFirst, what = 'kill' } = how
  if (isFirst) round.began(name)
  return armed(round, name, { what })()
}

/** Arms a failpoint, for one member or whoever comes first; what is returned waits until somebody was struck, and says who. */
export function armed(
  round: Round,
  name: Failpoint,
  { what, only }: { readonly what: 'kill' | 'stop'; readonly only?: string },
): () => Promise<string> {
  const file = round.options.failpointFile
  if (file === undefined) throw new Error('the drill has no failpoints')
  writeFileSync(file, failpointLine(name, what, only))
  const unmet = only === undefined ? `nobody came to ${name}` : `${only} did not come to ${name}`
  const struck = (): string | undefined =>
    readdirSync(dirname(file)).find((one) => one.startsWith(`${basename(file)}.`))
  return async () => {
    try {
      await round.until('struck', round.bound(MOVED_MS), () =>
        existsSync(file) ? unmet : undefined,
      )
      return (struck() ?? '').slice(basename(file).length + 1)
    } finally {
      // The next to come there is not meant.
      const names = readdirSync(dirname(file)).filter((one) => one.startsWith(basename(file)))
      for (const one of names) rmSync(join(dirname(file), one))
    }
  }
}
