import type { Anomaly, History, Operation } from './history.ts'

interface Shown {
  /** Of the transaction. */
  readonly id: string
  readonly operation: Operation
}

/** What committed transactions were shown. */
const shownIn = (history: History): readonly Shown[] =>
  history
    .filter(({ end }) => end === 'committed')
    .flatMap(({ id, operations }) => operations.map((operation) => ({ id, operation })))

/**
 * Of accounts between which money is moved: each read must show all of them, none that is not there, none below zero, and
 * always the same total.
 */
export function checkBank(
  history: History,
  bank: { readonly accounts: readonly string[]; readonly total: number },
): readonly Anomaly[] {
  const known = new Set(bank.accounts)
  return shownIn(history).flatMap(({ id, operation }): readonly Anomaly[] => {
    if (operation.kind !== 'accounts') return []
    const { balances } = operation
    const strange = Object.keys(balances).find((name) => !known.has(name))
    if (strange !== undefined) {
      return [{ name: 'unexpected-account', text: `${id} reads an account ${strange}` }]
    }
    const missing = bank.accounts.find((name) => !Number.isFinite(balances[name]))
    if (missing !== undefined) {
      return [{ name: 'missing-account', text: `${id} does not read a balance of ${missing}` }]
    }
    const below = bank.accounts.find((name) => (balances[name] ?? 0) < 0)
    if (below !== undefined) {
      return [{ name: 'negative-balance', text: `${id} reads ${balances[below]} in ${below}` }]
    }
    const total = bank.accounts.reduce((sum, name) => sum + (balances[name] ?? 0), 0)
    if (total === bank.total) return []
    return [
      { name: 'wrong-total', text: `${id} reads ${total} in all accounts, not ${bank.total}` },
    ]
  })
}

/** Of a ring whose order transactions change: each read must show one ring of all elements. */
export function checkRing(history: History, size: number): readonly Anomaly[] {
  return shownIn(history).flatMap(({ id, operation }): readonly Anomaly[] => {
    if (operation.kind !== 'ring') return []
    const { next } = operation
    const count = Object.keys(next).length
    if (count !== size) {
      return [{ name: 'broken-ring', text: `${id} reads ${count} elements of a ring of ${size}` }]
    }
    let [at, steps] = [Number(Object.keys(next)[0]), 0]
    const visited = new Set<number>()
    while (!visited.has(at) && steps < size) {
      visited.add(at)
      at = next[at] ?? NaN
      steps++
    }
    const isWhole = visited.size === size && at === Number(Object.keys(next)[0])
    if (isWhole) return []
    return [{ name: 'broken-ring', text: `${id} reads a ring of ${visited.size} of ${size}` }]
  })
}

/** Of sets that one writer fills with 0, 1, 2 … : each read must show them without a gap. */
export function checkContiguous(
  history: History,
  isContiguous: (key: string) => boolean,
): readonly Anomaly[] {
  return shownIn(history).flatMap(({ id, operation }): readonly Anomaly[] => {
    if (operation.kind !== 'set' || !isContiguous(operation.key)) return []
    const values = operation.values.toSorted((a, b) => a - b)
    const gap = values.findIndex((value, i) => value !== i)
    if (gap === -1) return []
    const text = `${id} reads ${values.length} numbers in ${operation.key}, and ${values[gap]} where ${gap} should be`
    return [{ name: 'gap', text }]
  })
}
