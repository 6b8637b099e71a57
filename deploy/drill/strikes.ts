import type { Call } from './load.ts'
import type { Round } from './round.ts'
import { type LogLine, statusAt } from './target.ts'

/** For what is to happen to streams, or to a member, within the bounds of this machine. */
export const MOVED_MS = 10_000

export function seesExecutorGo({ event, fields }: LogLine, victim: string): boolean {
  return event === 'executorLinkClosed' && fields['executor'] === victim
}

export function seesCoordinatorGo({ event, fields }: LogLine, victim: string): boolean {
  if (event === 'coordinatorLinkClosed') return fields['coordinator'] === victim
  return event === 'peerLinkClosed' && fields['peer'] === victim
}

/** Whoever has nothing to do there would recover without: it must be seen all the same. */
export function noticed(round: Round, victim: string): Promise<void> {
  return round.until('detected', round.bound(MOVED_MS), () =>
    round.logged().some((line) => seesExecutorGo(line, victim))
      ? undefined
      : `nobody has noticed that ${victim} is gone`,
  )
}

/** Another member has seen that a coordinator is gone. */
export function missed(round: Round, victim: string): Promise<void> {
  return round.until('detected', round.bound(MOVED_MS), () =>
    round.logged().some((line) => line.member !== victim && seesCoordinatorGo(line, victim))
      ? undefined
      : `nobody has noticed that ${victim} is gone`,
  )
}

/** A coordinator that does not lead, so that only one thing happens. */
export async function follower(round: Round): Promise<string> {
  const leader = await round.leader()
  const others = (await round.ids('coordinator')).filter((id) => id !== leader)
  return round.options.prng.pick(others)
}

/** The coordinator that the streams come from. */
export async function streaming(round: Round): Promise<string> {
  const ids = new Set(round.load.streams.map(({ coordinator }) => coordinator))
  const [id] = ids
  if (ids.size === 1 && id !== undefined) return id
  await round.until('struck', 0, () => `streams come from ${[...ids].join(', ')}`)
  throw new Error('unreachable')
}

/** Streams have gone on at another coordinator, and are in their midst there, or had all but ended. */
export async function inMidstElsewhere(round: Round): Promise<void> {
  const { load } = round
  const moved = load.streams.map(({ moves }) => moves)
  load.gate.open()
  // Once it has moved a stream waits again before it ends.
  load.gate.closeWhen(() => load.streams.some(({ moves }, i) => moves !== moved[i]))
  await round.until('stall', round.bound(MOVED_MS), () => {
    const still = load.streams.filter((client, i) => client.moves === moved[i])
    const [waiting] = still.filter(({ calls }) => calls.length === 0)
    return waiting === undefined ? undefined : `${waiting.name} has not gone on elsewhere`
  })
}

/** An executor that runs a task at this moment. */
export async function busyExecutor(round: Round): Promise<string> {
  const executors = round.options.prng.shuffle(await round.ids('executor'))
  let found: string | undefined
  await round.until('struck', round.bound(BUSY_MS), async () => {
    for (const id of executors) {
      const address = (await round.process(id))?.address
      if (address !== undefined && (await tasksAt(address)) > 0) {
        found = id
        return undefined
      }
    }
    return 'no executor runs a task'
  })
  return found as string
}
const BUSY_MS = 20_000

async function tasksAt(address: string): Promise<number> {
  try {
    const response = await fetch(`http://${address}/health`)
    const { tasksRunning } = (await response.json()) as { readonly tasksRunning?: unknown }
    return typeof tasksRunning === 'number' ? tasksRunning : 0
  } catch {
    return 0
  }
}

/** The member of etcd that leads it. */
export async function etcdLeader(round: Round): Promise<string> {
  let found: string | undefined
  await round.until('struck', round.bound(MOVED_MS), async () => {
    const processes = await round.options.target.processes()
    const coordinators = processes.filter(({ role }) => role === 'coordinator')
    const status = await statusAt(round.options.prng.pick(coordinators).address)
    const leader = status?.etcd.find((one) => one.leader)
    found = processes.find((one) => one.role === 'etcd' && one.address === leader?.address)?.id
    return found === undefined ? 'no coordinator knows which member of etcd leads' : undefined
  })
  return found as string
}

/**
 * The leader of etcd, hanging with a commit on its way to it: an INSERT of written-out rows reads nothing of etcd before,
 * so what it waits for is a commit. What is struck at any other moment may find none.
 */
export async function stallEtcdLeader(round: Round): Promise<string> {
  const { clock } = round.options
  const victim = await etcdLeader(round)
  await round.signal(victim, 'SIGSTOP')
  const sinceMs = clock.now()
  try {
    await round.until('struck', round.bound(MOVED_MS), () => {
      const untilMs = clock.now() - UNANSWERED_MS
      const isWaiting = round.load.clients.some(
        ({ kind, busySinceMs = Infinity }) =>
          kind === 'append' && busySinceMs > sinceMs && busySinceMs < untilMs,
      )
      return isWaiting ? undefined : 'no commit waits for the leader of etcd'
    })
  } catch (error) {
    await round.signal(victim, 'SIGCONT')
    throw error
  }
  return victim
}
/** It has left its coordinator by then, and nobody else leads etcd yet. */
const UNANSWERED_MS = 300

/** Its supervisor has started it again, as another process than this one. */
export async function restarted(
  round: Round,
  id: string,
  how: { readonly before: number | undefined; readonly timeoutMs: number },
): Promise<number> {
  let pid: number | undefined
  await round.until('whole', round.bound(how.timeoutMs), async () => {
    pid = (await round.process(id))?.pid
    const isOther = pid !== undefined && pid !== how.before
    return isOther ? undefined : `${id} has not been started again`
  })
  return pid as number
}

/** What clients are told while etcd cannot answer: nothing was done, or nobody can tell yet. */
export function isToldOfQuorum({ error }: Call): boolean {
  return error !== undefined && WITHOUT_QUORUM.has(error.error)
}
const WITHOUT_QUORUM: ReadonlySet<string> = new Set([
  'metastore_unavailable',
  'commit_outcome_unknown',
  // Given up just when etcd answered again: nothing was written.
  'serialization_failure',
])

/** Every client does something well that it begins from now on. */
export function clientsGoOn(round: Round): Promise<void> {
  const sinceMs = round.options.clock.now()
  const isWell = (call: Call): boolean => call.error === undefined && call.startedMs > sinceMs
  return round.until('stall', round.bound(MOVED_MS), () => {
    const waiting = round.load.clients.find(({ calls }) => !calls.some(isWell))
    return waiting === undefined ? undefined : `${waiting.name} did nothing well since`
  })
}

/** All members of etcd but one hang while `during` runs, and are woken after it. */
export async function withoutQuorum(round: Round, during: () => Promise<void>): Promise<void> {
  const hung = round.options.prng.shuffle(await round.ids('etcd')).slice(1)
  round.began(hung.join(' and '))
  for (const id of hung) await round.signal(id, 'SIGSTOP')
  try {
    await during()
  } finally {
    for (const id of hung) await round.signal(id, 'SIGCONT')
  }
}

/** Its lease is over: no other coordinator takes it for alive. */
export async function gone(round: Round, id: string): Promise<void> {
  const others = (await round.processes('coordinator')).filter((one) => one.id !== id)
  await round.until('whole', round.bound(MOVED_MS), async () => {
    for (const { address } of others) {
      const status = await statusAt(address)
      const isAlive = status?.members.some((one) => one.id === id && one.state === 'alive')
      if (isAlive !== false) return `${id} hangs and is still taken for alive`
    }
    return undefined
  })
}
