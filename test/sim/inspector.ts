import type { Clock } from '@nyala/client/base'
import type { CommitRequest, Keys, Leadership, WatchEvent } from '@nyala/metastore'
import type { MemoryStore } from '@nyala/metastore/memory'
import type { SimProcess } from './sim-process.ts'

/** A guard that is switched off, to see that the simulation notices. */
export const MUTANTS = [
  /** Leaders' writes do not compare the epoch. */
  'unfencedWrites',
  /** A campaign does not compare that there is no leader. */
  'unguardedCampaign',
  /** Deposing a leader does not compare its epoch. */
  'unguardedDeposal',
  /** Removing a member does not compare its incarnation. */
  'unguardedRemoval',
  /** A leader that was away goes on under its epoch. */
  'noAbsenceCheck',
  /** A leader that does not reach the executors, which others do, leads on. */
  'noResignation',
  /** A coordinator that is asked to stop ends without giving anything back. */
  'noHandOver',
] as const
export type Mutant = (typeof MUTANTS)[number]

/** Half of a lease of three seconds. */
const ABSENCE_MS = 1_500

/** Looks at every commit on its way out and at every revision of the store, and says which invariant breaks. */
export class Inspector {
  readonly violations: string[] = []
  readonly #store: MemoryStore
  readonly #clock: Clock
  readonly #keys: Keys
  readonly #mutant: Mutant | undefined
  readonly #tell: (line: string) => void
  readonly #workKey: string
  /** Commits that a mutant changed, and what they were. */
  readonly #originals = new WeakMap<CommitRequest, CommitRequest>()
  /** Who wrote under each epoch, and when the epoch began. */
  readonly #writers = new Map<number, number>()
  readonly #epochBegan = new Map<number, number>()
  #applying: CommitRequest | undefined
  #leaderRevision: number | undefined
  epochs = 0
  writes = 0
  lastWriteEpoch: number | undefined

  constructor(options: {
    readonly store: MemoryStore
    readonly clock: Clock
    readonly keys: Keys
    readonly mutant: Mutant | undefined
    readonly tell: (line: string) => void
  }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#keys = options.keys
    this.#mutant = options.mutant
    this.#tell = options.tell
    this.#workKey = `${options.keys.root}work`
    const apply = options.store.commitIf.bind(options.store)
    options.store.commitIf = (request) => {
      this.#applying = this.#originals.get(request) ?? request
      try {
        return apply(request)
      } finally {
        this.#applying = undefined
      }
    }
    options.store.onRevision(() => this.#onRevision())
  }

  /** The epoch that is current, by the store itself. */
  get epoch(): number | undefined {
    return this.#leaderRevision
  }

  violation(sentence: string): void {
    this.#tell(`VIOLATION: ${sentence}`)
    this.violations.push(sentence)
  }

  /** A leader's write whose only guard is the epoch. */
  async write(
    leadership: Leadership,
    content: { readonly by: number; readonly n: number },
  ): Promise<void> {
    const value = JSON.stringify({ epoch: leadership.epoch, ...content })
    // What it comes to is seen where it is applied.
    await leadership
      .commitIf({ compares: [], success: [{ kind: 'put', key: this.#workKey, value }] })
      .catch(() => undefined)
  }

  /** A process is about to send a commit; a mutant sends another one. */
  onCommit(request: CommitRequest, process: SimProcess): CommitRequest {
    this.#checkAbsence(request, process)
    const compares = request.compares.filter((compare) => !this.#isDropped(request, compare.key))
    if (compares.length === request.compares.length) return request
    const mutated = { ...request, compares }
    this.#originals.set(mutated, request)
    return mutated
  }

  #isDropped(request: CommitRequest, key: string): boolean {
    const { leader, members } = this.#keys
    const operation = request.success[0]
    const target = operation !== undefined && 'key' in operation ? operation.key : ''
    switch (this.#mutant) {
      case 'unfencedWrites':
        return key === leader && target !== leader
      case 'unguardedCampaign':
        return key === leader && operation?.kind === 'put' && target === leader
      case 'unguardedDeposal':
        return key === leader && operation?.kind === 'delete' && target === leader
      case 'unguardedRemoval':
        return key.startsWith(members) && operation?.kind === 'delete' && target === key
      case 'noAbsenceCheck':
      case 'noResignation':
      case 'noHandOver':
      case undefined:
        return false
    }
  }

  /** Nothing is sent under an epoch by who was away for longer than half a lease after it began. */
  #checkAbsence(request: CommitRequest, process: SimProcess): void {
    const epoch = epochOf(request, this.#keys.leader)
    const { at, awayMs } = process.woke
    if (epoch === undefined || awayMs <= ABSENCE_MS) return
    if (request.success.some((one) => 'key' in one && one.key === this.#keys.leader)) return
    const began = this.#epochBegan.get(epoch)
    if (began === undefined || began >= at - awayMs) return
    this.violation(`a write is sent under epoch ${epoch} after an absence of ${awayMs} ms`)
  }

  #onRevision(): void {
    const { revision } = this.#store
    const events = this.#store.eventsAt(revision, this.#keys.root)
    // The leader key first: what is written at the same revision is judged by who led before it.
    for (const event of events) this.#onEvent(event)
    this.#leaderRevision = this.#store.get(this.#keys.leader)?.createRevision
  }

  #onEvent(event: WatchEvent): void {
    const key = event.kind === 'put' ? event.item.key : event.key
    if (key === this.#workKey && event.kind === 'put') return this.#onWrite(event.item.value)
    if (key === this.#keys.leader) return this.#onLeaderKey(event)
    if (event.kind === 'delete' && key.startsWith(this.#keys.members)) {
      this.#expectIntended(key, 'a member is removed')
    }
  }

  #onWrite(value: string): void {
    const { epoch, by } = JSON.parse(value) as { readonly epoch: number; readonly by: number }
    this.writes++
    this.lastWriteEpoch = epoch
    if (epoch !== this.#leaderRevision) {
      this.violation(`a write of epoch ${epoch} was applied under epoch ${this.#leaderRevision}`)
    }
    const writer = this.#writers.get(epoch) ?? by
    this.#writers.set(epoch, writer)
    if (writer !== by) this.violation(`${writer} and ${by} both wrote under epoch ${epoch}`)
  }

  #onLeaderKey(event: WatchEvent): void {
    if (event.kind === 'delete') {
      this.#tell(`epoch ${this.#leaderRevision} is over`)
      return this.#expectIntended(this.#keys.leader, 'a leader is deposed')
    }
    const { createRevision, modRevision, value } = event.item
    const { record } = JSON.parse(value) as { readonly record: { readonly id: string } }
    this.#tell(`${record.id} is elected under epoch ${createRevision}`)
    if (createRevision !== modRevision) {
      this.violation(`the leader key of epoch ${createRevision} was written over by ${record.id}`)
    }
    this.epochs++
    this.#epochBegan.set(createRevision, this.#clock.now())
  }

  /** A commit that deletes a key deletes the one that it was decided on, not a later one of the same name. */
  #expectIntended(key: string, what: string): void {
    const compares = this.#applying?.compares.filter((compare) => compare.key === key) ?? []
    const before = this.#previous(key)
    for (const compare of compares) {
      if (!('equals' in compare) || before === undefined) continue
      const found = compare.kind === 'createRevision' ? before.createRevision : before.modRevision
      if (compare.kind !== 'value' && found !== compare.equals) {
        this.violation(`${what} as of ${compare.equals}, but it was ${found}`)
      }
    }
  }

  #previous(
    key: string,
  ): { readonly createRevision: number; readonly modRevision: number } | undefined {
    return this.#store.range(key, this.#store.revision - 1).find((item) => item.key === key)
  }
}

function epochOf(request: CommitRequest, leaderKey: string): number | undefined {
  const fence = request.compares.find((compare) => compare.key === leaderKey)
  return fence?.kind === 'createRevision' ? fence.equals : undefined
}
