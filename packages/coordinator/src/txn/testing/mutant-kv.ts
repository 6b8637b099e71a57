import type { Keys, Kv, Operation } from '@nyala/metastore'
import { withCommits } from '../../write/testing/simulated-world.ts'
import type { TransactionMutant } from './transaction-simulation.ts'

/** The store for commits of transactions that leave out one of their guards. */
export function mutantKv(kv: Kv, keys: Keys, mutant: TransactionMutant | undefined): Kv {
  const prefixes: Partial<Record<TransactionMutant, string>> = {
    'blind-outcome': keys.statements,
    'blind-record': keys.txns,
    'blind-heads': keys.catalog,
  }
  const prefix = mutant === undefined ? undefined : prefixes[mutant]
  const isTorn = mutant === 'torn-commit'
  if (prefix === undefined && !isTorn) return kv
  return withCommits(kv, ({ compares, success, ...request }) => ({
    ...request,
    compares: compares.filter(({ key }) => prefix === undefined || !key.startsWith(prefix)),
    success: isTorn ? withoutLast(success, keys.catalog) : success,
  }))
}

function withoutLast(operations: readonly Operation[], prefix: string): readonly Operation[] {
  const last = operations.findLastIndex((one) => one.kind === 'put' && one.key.startsWith(prefix))
  return operations.filter((_, i) => i !== last)
}
