import type { Anomaly, History } from './history.ts'
import { checkBank, checkContiguous, checkRing } from './invariants.ts'
import { checkIsolation, type Level } from './isolation.ts'
import { checkElements, checkLongFork, checkSessions } from './visibility.ts'

/** Sets of which one writer puts in 0, 1, 2 … have keys that begin so. */
export const CONTIGUOUS = 'range '

export interface Expected {
  readonly level: Level
  readonly bank: { readonly accounts: readonly string[]; readonly total: number }
  readonly ringSize: number
}

/** All that a history can show not to be as it was promised. */
export const anomaliesOf = (history: History, expected: Expected): readonly Anomaly[] => [
  ...checkIsolation(history, expected.level),
  ...checkElements(history),
  ...checkSessions(history),
  ...checkLongFork(history),
  ...checkBank(history, expected.bank),
  ...checkRing(history, expected.ringSize),
  ...checkContiguous(history, (key) => key.startsWith(CONTIGUOUS)),
]
