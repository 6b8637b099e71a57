import type { SimulatedTransaction } from '@nyala/coordinator/testing'
import type { Anomaly, History, Operation } from './history.ts'
import { checkIsolation } from './isolation.ts'
import { checkElements, checkLongFork, checkSessions } from './visibility.ts'

/** A simulated run as a history: each table is a set, and each transaction a number. */
export function historyOf(transactions: readonly SimulatedTransaction[]): History {
  const numbers = new Map(transactions.map(({ id }, i) => [id, i]))
  return transactions.map(({ client, reads, puts, ...one }) => {
    const operations = [
      ...reads.map(({ table, ids }): Operation => {
        return { kind: 'set', key: table, values: ids.map((id) => numbers.get(id) ?? -1) }
      }),
      ...puts.map((table): Operation => {
        return { kind: 'add', key: table, values: [numbers.get(one.id) ?? -1] }
      }),
    ]
    return { ...one, session: client, operations }
  })
}

/** What clients of a simulated run must not have seen. */
export function simulatedAnomalies(
  transactions: readonly SimulatedTransaction[],
): readonly Anomaly[] {
  const history = historyOf(transactions)
  return [
    ...checkIsolation(history, 'strong snapshot'),
    ...checkElements(history),
    ...checkSessions(history),
    ...checkLongFork(history),
  ]
}
