import { Prng } from '@nyala/client/base'
import type { History, Operation, Transaction } from '../history.ts'

export const RING = 5
export const ACCOUNTS: readonly string[] = ['a0', 'a1', 'a2', 'a3']
export const TOTAL = 40

const KEYS = ['m0', 'm1', 'm2'] as const
const SESSIONS = 4
const ABORTED = 0.1
const UNKNOWN = 0.1

interface State {
  readonly lists: Readonly<Record<string, readonly number[]>>
  readonly sets: Readonly<Record<string, readonly number[]>>
  readonly balances: Readonly<Record<string, number>>
}

interface Open {
  readonly session: string
  readonly began: number
  readonly snapshot: State
  readonly token: number
  readonly operations: Operation[]
  readonly lists: Record<string, readonly number[]>
  readonly added: Record<string, readonly number[]>
  moved: Readonly<Record<string, number>> | undefined
}

/**
 * A history of a model that keeps what snapshot isolation promises: transactions of several sessions overlap, each reads
 * the newest snapshot of its begin, lists and balances that another one has changed meanwhile make it abort, sets do not.
 */
export function modelHistory(seed: number, steps: number): History {
  const prng = new Prng(seed)
  const history: Transaction[] = []
  const open = new Map<string, Open>()
  let state: State = {
    lists: {},
    sets: {},
    balances: Object.fromEntries(ACCOUNTS.map((name) => [name, TOTAL / ACCOUNTS.length])),
  }
  let [revision, value] = [1, 0]
  for (let now = 0; now < steps; now++) {
    const session = `s${prng.below(SESSIONS)}`
    const one = open.get(session)
    if (one === undefined) {
      const empty = { operations: [], lists: {}, added: {}, moved: undefined }
      open.set(session, { session, began: now, snapshot: state, token: revision, ...empty })
    } else if (prng.chance(0.7)) act(one, prng, ++value)
    else {
      open.delete(session)
      const isFree = !isOvertaken(one, state) && !prng.chance(ABORTED)
      if (isFree) {
        state = applied(one, state)
        revision++
      }
      const end = prng.chance(UNKNOWN) ? 'unknown' : isFree ? 'committed' : 'aborted'
      const seen = end === 'committed' ? revision : one.token
      history.push({ ...told(one, `t${now}`), end, ended: now, revision: seen })
    }
  }
  return history
}

const told = (
  { session, began, token, operations }: Open,
  id: string,
): Pick<Transaction, 'id' | 'session' | 'began' | 'token' | 'operations'> => ({
  ...{ id, session, began, token, operations },
})

function act(one: Open, prng: Prng, value: number): void {
  const { snapshot, operations, lists, added } = one
  const key = prng.pick(KEYS)
  const values = lists[key] ?? snapshot.lists[key] ?? []
  switch (prng.below(6)) {
    case 0:
      return void operations.push({ kind: 'list', key, values })
    case 1:
      // A list is read before it is changed: who changes it has seen what was there.
      if (lists[key] === undefined) operations.push({ kind: 'list', key, values })
      lists[key] = [...values, value]
      return void operations.push({ kind: 'append', key, value })
    case 2: {
      const set = [...(snapshot.sets[`${key} set`] ?? []), ...(added[`${key} set`] ?? [])]
      return void operations.push({ kind: 'set', key: `${key} set`, values: prng.shuffle(set) })
    }
    case 3: {
      const more = [value * 10, value * 10 + 1]
      added[`${key} set`] = [...(added[`${key} set`] ?? []), ...more]
      return void operations.push({ kind: 'add', key: `${key} set`, values: more })
    }
    case 4:
      return void operations.push({ kind: 'accounts', balances: one.moved ?? snapshot.balances })
    default: {
      const before = one.moved ?? snapshot.balances
      const [from = '', to = ''] = prng.shuffle(ACCOUNTS)
      const amount = prng.below((before[from] ?? 0) + 1)
      const [less, more] = [(before[from] ?? 0) - amount, (before[to] ?? 0) + amount]
      one.moved = { ...before, [from]: less, [to]: more }
    }
  }
}

const isOvertaken = ({ snapshot, lists, moved }: Open, state: State): boolean =>
  Object.keys(lists).some((key) => state.lists[key] !== snapshot.lists[key]) ||
  (moved !== undefined && state.balances !== snapshot.balances)

function applied({ lists, added, moved }: Open, state: State): State {
  const sets = Object.entries(added).map(([key, values]) => [
    key,
    [...(state.sets[key] ?? []), ...values],
  ])
  return {
    lists: { ...state.lists, ...lists },
    sets: { ...state.sets, ...(Object.fromEntries(sets) as State['sets']) },
    balances: moved ?? state.balances,
  }
}
