import { SqlError } from '@nyala/client/protocol'

/**
 * Whether a query may run now: pure. Every coordinator decides for itself, by what it knows:
 *
 * - *exactly*: its own queries, the memory of the executors, its share of the cluster's running queries;
 * - *approximately*: the queries of the others, as they said last. They say so on every change, so what one knows is
 *   as old as a message takes.
 *
 * A coordinator has an equal share of `max_running_queries`. Free slots beyond its share it takes while no other is
 * below its own and waits, and no other has waited longer. So the limit is passed only by slots that two coordinators
 * took within the time of one message, and no coordinator can keep another out for longer than a query takes.
 */
export interface AdmissionLimits {
  /** Queries that run at once in the whole cluster. */
  readonly runningMax: number
  /** Queries that wait at once in the whole cluster. */
  readonly queuedMax: number
}

/** What a coordinator has of queries that count: those that need not wait do not. */
export interface CoordinatorLoad {
  readonly running: number
  readonly queued: number
  /** For how long the query waits whose turn it is; 0 where none does. */
  readonly waitedMs: number
  /** Promised to its running queries, over all executors. */
  readonly memoryBytes: number
}

export interface AdmissionState {
  readonly limits: AdmissionLimits
  readonly own: CoordinatorLoad
  /** What the other coordinators that are there said last. */
  readonly peers: readonly CoordinatorLoad[]
  /** Memory limit of each executor. */
  readonly executorsBytes: readonly number[]
}

export interface AdmissionRequest {
  /** Memory of one task, as `mem_limit` says; 0 where tasks share what the executor has. */
  readonly taskMemoryBytes: number
  /** Tasks that run at once, over all executors. */
  readonly tasksAtOnce: number
  /** So little work that it would be done sooner than it could be told to wait. */
  readonly cheap: boolean
}

export type Admission =
  | { readonly kind: 'run' }
  | { readonly kind: 'queue'; readonly why: string }
  | { readonly kind: 'refuse'; readonly error: SqlError }

/** Slots of the cluster that each coordinator has for itself; what is left over goes to whoever waits longest. */
export const shareOf = (runningMax: number, coordinators: number): number =>
  Math.floor(runningMax / coordinators)

/** Memory that a query is promised while it runs. */
export const memoryOf = (request: AdmissionRequest): number =>
  request.taskMemoryBytes * request.tasksAtOnce

/** What becomes of a query whose turn it is. */
export function admit(state: AdmissionState, request: AdmissionRequest): Admission {
  const refusal = neverFits(state, request)
  if (refusal !== undefined) return { kind: 'refuse', error: refusal }
  if (request.cheap) return { kind: 'run' }
  const why = obstacle(state, request)
  return why === undefined ? { kind: 'run' } : { kind: 'queue', why }
}

/** Why a query may not wait either; it would be one more. */
export function queueIsFull(state: AdmissionState, why: string): SqlError | undefined {
  const queued = sum(state, 'queued')
  const { queuedMax } = state.limits
  if (queued < queuedMax) return undefined
  return new SqlError(
    'too_many_queries',
    `${queued} queries wait in the cluster, the limit is max_queued_queries = ${queuedMax}`,
    {
      detail: why,
      hint: 'send the statement again later, or start the coordinators with a higher --max-queued-queries',
    },
  )
}

/** The error of a query that waited too long. */
export const waitedTooLong = (seconds: number, why: string): SqlError =>
  new SqlError('too_many_queries', `the query waited for queue_timeout_s = ${seconds}: ${why}`, {
    hint: 'send the statement again later, or raise SET queue_timeout_s',
  })

function neverFits(
  { executorsBytes }: AdmissionState,
  { taskMemoryBytes }: AdmissionRequest,
): SqlError | undefined {
  const largest = Math.max(0, ...executorsBytes)
  if (executorsBytes.length === 0 || taskMemoryBytes <= largest) return undefined
  return new SqlError(
    'configuration_limit_exceeded',
    `a task with mem_limit = ${taskMemoryBytes} bytes fits on no executor: the largest has ${largest}`,
    { hint: 'lower SET mem_limit, or start the executors with a higher --memory' },
  )
}

/** What keeps a query from running now. */
function obstacle(state: AdmissionState, request: AdmissionRequest): string | undefined {
  const { limits, own, peers, executorsBytes } = state
  const running = sum(state, 'running')
  if (running >= limits.runningMax) {
    return `${running} queries run in the cluster, the limit is max_running_queries = ${limits.runningMax}`
  }
  const share = shareOf(limits.runningMax, peers.length + 1)
  const goesFirst = (peer: CoordinatorLoad): boolean =>
    peer.queued > 0 && (peer.running < share || peer.waitedMs > own.waitedMs)
  if (own.running >= share && peers.some(goesFirst)) {
    return `this coordinator runs its share of max_running_queries = ${limits.runningMax}, and queries of others go first`
  }
  const promised = sum(state, 'memoryBytes')
  const wanted = memoryOf(request)
  const total = executorsBytes.reduce((a, b) => a + b, 0)
  // Alone it runs: its tasks are started as there is room.
  if (wanted === 0 || promised === 0 || promised + wanted <= total) return undefined
  return `its mem_limit makes ${wanted} bytes, and of the ${total} of the executors ${promised} are promised`
}

const sum = ({ own, peers }: AdmissionState, what: 'running' | 'queued' | 'memoryBytes'): number =>
  peers.reduce((n, peer) => n + peer[what], own[what])
