import { SqlError } from '@nyala/client/protocol'
import {
  type Asking,
  type Decision,
  type DecideRequest,
  leastPatient,
  type WriteLog,
} from '@nyala/metastore'
import { waitedInVain } from './committer.ts'

/** Commits on their way at once; what comes while there are so many goes with others. */
const UNDER_WAY_MAX = 4
/** Compares, and operations, of a shared commit; etcd takes 128. */
const SIZE_MAX = 120

interface Waiting {
  readonly request: DecideRequest
  readonly options: Asking
  resolve(decision: Decision): void
  reject(error: unknown): void
  /** It does not wait any more. */
  taken(): void
}

/**
 * Commits that have nothing in common, as of different tables, share one commit of the metastore while many are on their
 * way. A shared commit is that of all of them or of none: its compares are all of theirs. Where it is refused, or nobody
 * knows whether it was done, each is decided by itself as if it had never been part of it: what a statement has come to is
 * compared, so what is delivered late or twice is refused.
 */
export class SharedDecisions implements Pick<WriteLog, 'decide'> {
  readonly #writeLog: Pick<WriteLog, 'decide'>
  readonly #underWayMax: number
  #waiting: readonly Waiting[] = []
  #underWay = 0
  /** Commits that several shared. */
  shared = 0

  constructor(writeLog: Pick<WriteLog, 'decide'>, underWayMax: number = UNDER_WAY_MAX) {
    this.#writeLog = writeLog
    this.#underWayMax = underWayMax
  }

  /** As {@link WriteLog.decide}. */
  decide(request: DecideRequest, options: Asking = {}): Promise<Decision> {
    return new Promise((resolve, reject) => {
      const { patience } = options
      const stop = patience?.watch(() => this.#leave(one))
      const one: Waiting = { request, options, resolve, reject, taken: () => stop?.() }
      patience?.asked()
      this.#waiting = [...this.#waiting, one]
      if (this.#underWay < this.#underWayMax) void this.#drain()
    })
  }

  /** It was not sent, and will not be. */
  #leave(one: Waiting): void {
    if (!this.#waiting.includes(one)) return
    this.#waiting = this.#waiting.filter((other) => other !== one)
    one.reject(waitedInVain())
  }

  /** Never rejects: whoever waits is told. */
  async #drain(): Promise<void> {
    this.#underWay++
    while (this.#waiting.length > 0) {
      const { taken, left } = takeDisjoint(this.#waiting)
      this.#waiting = left
      for (const one of taken) one.taken()
      await this.#decide(taken)
    }
    this.#underWay--
  }

  async #decide(taken: readonly Waiting[]): Promise<void> {
    let mayBeDone = false
    if (taken.length > 1) {
      this.shared++
      const patience = leastPatient(
        taken.flatMap(({ options }) => (options.patience === undefined ? [] : [options.patience])),
      )
      try {
        const together = merged(taken.map(({ request }) => request))
        const decision = await this.#writeLog.decide(together, { patience })
        if (decision.kind === 'committed') {
          for (const { resolve } of taken) resolve(decision)
          return
        }
      } catch (error) {
        mayBeDone = isUnknown(error)
        // Then nothing was done, and asking for each would take as long again.
        if (patience === undefined && isUnavailable(error)) {
          for (const { reject } of taken) reject(error)
          return
        }
      }
    }
    await Promise.all(taken.map((one) => this.#decideAlone(one, mayBeDone)))
  }

  /** `mayBeDone`: by a shared commit that was not answered, of which a commit that was not sent says nothing. */
  async #decideAlone(
    { request, options, resolve, reject }: Waiting,
    mayBeDone: boolean,
  ): Promise<void> {
    try {
      resolve(await this.#writeLog.decide(request, options))
    } catch (error) {
      if (!mayBeDone || isUnknown(error) || !(error instanceof SqlError)) return reject(error)
      const message = `it is not known how it ended: ${error.message}`
      const hint =
        'what was written may be there, all of it or nothing; ask again under the same id'
      reject(new SqlError('commit_outcome_unknown', message, { hint, cause: error }))
    }
  }
}

const isUnknown = (error: unknown): boolean =>
  error instanceof SqlError && error.error === 'commit_outcome_unknown'

const isUnavailable = (error: unknown): boolean =>
  error instanceof SqlError && error.error === 'metastore_unavailable'

/** The first that waits, and those after it that one commit can do with it: no key is of two of them. Pure. */
export function takeDisjoint<T extends { readonly request: DecideRequest }>(
  waiting: readonly T[],
): { readonly taken: readonly T[]; readonly left: readonly T[] } {
  const taken: T[] = []
  const left: T[] = []
  const keys = new Set<string>()
  let size = 0
  for (const one of waiting) {
    const own = keysOf(one.request)
    const isFirst = taken.length === 0
    const fits = own !== undefined && size + sizeOf(one.request) <= SIZE_MAX
    if (!isFirst && (!fits || own.some((key) => keys.has(key)))) {
      left.push(one)
      continue
    }
    taken.push(one)
    size += own === undefined ? SIZE_MAX : sizeOf(one.request)
    for (const key of own ?? []) keys.add(key)
  }
  return { taken, left }
}

/** What a commit compares or changes, by key or by the id of its statement or write; undefined where it is not told by key. */
function keysOf({
  writes,
  statements,
  compares,
  operations,
}: DecideRequest): readonly string[] | undefined {
  const keys = [
    ...statements.map(({ id }) => `statement ${id}`),
    ...writes.map(({ record }) => `write ${record.id}`),
    ...compares.map(({ key }) => key),
  ]
  for (const operation of operations) {
    if (operation.kind === 'deletePrefix') return undefined
    keys.push(operation.key)
  }
  return keys
}

/** The most that one branch of the commit has, or its compares. */
const sizeOf = ({ writes, statements, compares, operations }: DecideRequest): number =>
  writes.length + statements.length + Math.max(compares.length, operations.length)

const merged = (requests: readonly DecideRequest[]): DecideRequest => ({
  writes: requests.flatMap(({ writes }) => writes),
  statements: requests.flatMap(({ statements }) => statements),
  compares: requests.flatMap(({ compares }) => compares),
  operations: requests.flatMap(({ operations }) => operations),
})
