import type { Keys, Kv, Operation } from '@nyala/metastore'
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
  const commitIf: Kv['commitIf'] = (request, options) => {
    const compares = request.compares.filter(
      ({ key }) => prefix === undefined || !key.startsWith(prefix),
    )
    const success = isTorn ? withoutLast(request.success, keys.catalog) : request.success
    return kv.commitIf({ ...request, compares, success }, options)
  }
  return new Proxy<Kv>(kv, {
    get(target, name) {
      if (name === 'commitIf') return commitIf
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

function withoutLast(operations: readonly Operation[], prefix: string): readonly Operation[] {
  const last = operations.findLastIndex((one) => one.kind === 'put' && one.key.startsWith(prefix))
  return operations.filter((_, i) => i !== last)
}
