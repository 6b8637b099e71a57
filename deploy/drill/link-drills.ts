import type { Fault } from './fault-proxy.ts'
import { BLACKHOLE, CLIENT, cutBetween } from './links.ts'
import type { Drill, Round } from './round.ts'
import {
  busyExecutor,
  follower,
  MOVED_MS,
  noticed,
  seesCoordinatorGo,
  seesExecutorGo,
  streaming,
} from './strikes.ts'

/** Drills of networks that fail. Every link goes through a proxy, so none of the processes is touched. */
export const LINK_DRILLS: readonly Drill[] = [
  {
    name: 'executor-cut',
    summary: 'no byte passes between an executor and the coordinators while it runs tasks',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 3_500, detectedMs: 2_500 },
    links: true,
    run: (round) => cutExecutor(round, BLACKHOLE, BLACKHOLE),
    notices: seesExecutorGo,
    mutant: { name: 'no-pings', fails: ['stall', 'detected'] },
  },
  {
    name: 'executor-mute',
    summary: 'what an executor says does not reach the coordinators; it hears them',
    load: ['small', 'divided', 'slow', 'slow'],
    bounds: { stallMs: 3_500, detectedMs: 2_500 },
    links: true,
    // Executors dial coordinators, and coordinators the data ports of executors.
    run: (round) =>
      cutExecutor(round, { kind: 'blackhole', way: 'to' }, { kind: 'blackhole', way: 'back' }),
    notices: seesExecutorGo,
    mutant: { name: 'no-pings', fails: ['stall', 'detected'] },
  },
  {
    name: 'results-cut',
    summary: 'the sockets that results come on from executors are reset in the midst of results',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 1_000 },
    links: true,
    holdStreams: true,
    keepsWork: true,
    run: cutResults,
    mutant: { name: 'no-kept-frames', fails: ['errors', 'kept'] },
  },
  {
    name: 'results-corrupted',
    summary: 'bytes of results are changed on their way from executors to coordinators',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 3_000 },
    links: true,
    holdStreams: true,
    keepsWork: true,
    run: async (round) => {
      const coordinators = await round.ids('coordinator')
      const executors = await round.ids('executor')
      round.began(executors.join(' and '))
      const fault: Fault = { kind: 'corrupt', way: 'back', pieces: 1 }
      await round.links.set([{ from: coordinators, to: executors, fault }])
      round.load.gate.open()
      await round.until('struck', round.bound(MOVED_MS), async () =>
        (await round.links.spoilt()) > 0 ? undefined : 'nothing was corrupted',
      )
      await round.loadRecovered()
    },
    mutant: { name: 'no-kept-frames', fails: ['errors', 'kept'] },
  },
  {
    name: 'clients-cut',
    summary: 'no byte passes between clients and the coordinator that streams to them',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 4_000 },
    links: true,
    holdStreams: true,
    begin: follower,
    run: async (round) => {
      const victim = await streaming(round)
      round.began(victim)
      await round.links.set([{ from: CLIENT, to: victim, fault: BLACKHOLE }])
      round.load.gate.open()
      await round.loadRecovered()
      await round.links.set([])
    },
    mutant: { name: 'no-claim-from-the-living', fails: ['errors', 'stall'] },
  },
  {
    name: 'coordinator-cut',
    summary:
      'no byte passes between a coordinator that streams and anybody; healed, it does no harm',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 4_000, detectedMs: 2_500 },
    links: true,
    holdStreams: true,
    keepsWork: true,
    begin: follower,
    run: async (round) => {
      const victim = await streaming(round)
      round.began(victim)
      await round.links.set(cutBetween('any', victim))
      round.load.gate.open()
      await round.loadRecovered()
      await round.links.set([])
    },
    notices: seesCoordinatorGo,
    mutant: { name: 'no-kept-frames', fails: ['errors', 'kept'] },
  },
  {
    name: 'coordinator-cut-from-executors',
    summary: 'a coordinator that streams does not reach any executor; clients and the others do',
    load: ['small', 'stream', 'stream'],
    bounds: { stallMs: 7_000, detectedMs: 2_500 },
    links: true,
    holdStreams: true,
    begin: follower,
    run: async (round) => {
      await cutFromExecutors(round, await streaming(round))
      round.load.gate.open()
      await streamsGoOn(round)
      await round.links.set([])
      await round.loadRecovered()
    },
    notices: seesCoordinatorGo,
    mutant: { name: 'no-second-opinion', fails: ['errors'] },
  },
  {
    name: 'executors-cut',
    summary: 'no byte passes between two executors; each of them reaches all others',
    load: ['small', 'divided', 'divided', 'stream'],
    // Whoever had the link cut a moment ago knows; so nothing is asked of when it is noticed.
    bounds: { stallMs: 8_000 },
    links: true,
    apart: true,
    run: cutPair,
    notices: ({ event }) => event === 'executorsCut',
    mutant: { name: 'patient-pulls', fails: ['stall'] },
  },
  {
    name: 'two-executors-cut',
    summary: 'no byte passes between the only two executors: queries that shuffle end all the same',
    load: ['small', 'divided', 'divided', 'stream'],
    bounds: { stallMs: 8_000 },
    links: true,
    apart: true,
    executors: 2,
    run: cutPair,
    notices: ({ event }) => event === 'executorsCut',
    mutant: { name: 'no-one-side', fails: ['errors', 'stall'] },
  },
  {
    name: 'messages-disordered',
    summary:
      'messages between members come twice, once more 2 s later, or after those sent behind them',
    load: ['small', 'divided', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 5_000 },
    links: true,
    apart: true,
    holdStreams: true,
    run: disorder,
    mutant: { name: 'no-refetch', fails: ['errors'] },
  },
  {
    name: 'leader-cut-from-executors',
    summary: 'the leader does not reach any executor: another leads, and clients are sent on',
    load: ['small', 'divided', 'slow'],
    bounds: { stallMs: 7_000, detectedMs: 2_500, leaderMs: 10_000 },
    links: true,
    begin: (round) => round.leader(),
    run: async (round) => {
      const victim = await round.leader()
      await cutFromExecutors(round, victim)
      await round.loadRecovered()
      await round.until('leader', round.bound(CUT_OFF_MS + MOVED_MS), () =>
        round.logged().some(({ member, event }) => member !== victim && event === 'elected')
          ? undefined
          : `${victim} leads on`,
      )
      await round.links.set([])
    },
    notices: seesCoordinatorGo,
    mutant: { name: 'no-resignation', fails: ['leader'] },
  },
  {
    name: 'statements-cut-from-executors',
    summary: 'a coordinator that runs queries does not reach any executor: others run them',
    load: ['small', 'divided', 'slow'],
    bounds: { stallMs: 7_000, detectedMs: 2_500 },
    links: true,
    begin: follower,
    run: async (round) => {
      const ids = round.load.clients.map(({ coordinator }) => coordinator)
      await cutFromExecutors(round, ids[0] ?? '')
      await round.loadRecovered()
      await round.links.set([])
    },
    notices: seesCoordinatorGo,
    mutant: { name: 'no-handing-on', fails: ['errors', 'stall'] },
  },
  {
    name: 'coordinator-cut-from-etcd',
    summary: 'a coordinator does not reach etcd for longer than its lease; its streams go on there',
    load: ['small', 'divided', 'stream', 'stream'],
    bounds: { stallMs: 3_000 },
    links: true,
    holdStreams: true,
    begin: follower,
    run: cutFromEtcd,
    mutant: { name: 'deaf-to-sockets', fails: ['errors'] },
  },
  {
    name: 'leader-cut-from-etcd',
    summary: 'the leader does not reach etcd: another leads, and it knows that its term is over',
    load: ['small', 'divided', 'stream'],
    bounds: { stallMs: 3_000, leaderMs: 5_000 },
    links: true,
    run: async (round) => {
      const victim = await round.leader()
      round.began(victim)
      await round.links.set([{ from: victim, to: await round.ids('etcd'), fault: BLACKHOLE }])
      await round.until('leader', round.bound(LEASE_MS + MOVED_MS), () => {
        const seen = round.logged()
        const isOver = seen.some(({ member, event }) => member === victim && event === 'deposed')
        if (!isOver) return `${victim} takes itself for the leader`
        return seen.some(({ member, event }) => member !== victim && event === 'elected')
          ? undefined
          : 'nobody else leads'
      })
      await round.links.set([])
    },
    mutant: { name: 'no-step-down', fails: ['leader'] },
  },
  {
    name: 'slow-links',
    summary: 'every byte between members and clients takes 150 ms longer',
    load: ['small', 'divided', 'stream'],
    bounds: { stallMs: 5_000 },
    links: true,
    run: async (round) => {
      round.began('')
      await round.links.set([{ from: 'any', to: 'any', fault: { kind: 'delay', ms: 150 } }])
      await round.loadRecovered()
      const suspected = round
        .logged()
        .find(
          ({ event, fields }) =>
            event === 'membersSuspected' && JSON.stringify(fields['members']) !== '[]',
        )
      await round.until('whole', 0, () =>
        suspected === undefined
          ? undefined
          : `${suspected.member} took slow members for dead: ${JSON.stringify(suspected.fields['members'])}`,
      )
      await round.links.set([])
    },
    mutant: { name: 'impatient-pings', fails: ['whole', 'errors', 'stall'] },
  },
]

const LEASE_MS = 3_000
/** A leader that does not reach the executors leads on for so long. */
const CUT_OFF_MS = 5_000

async function cutFromExecutors(round: Round, victim: string): Promise<void> {
  const executors = await round.ids('executor')
  round.began(victim)
  await round.links.set(cutBetween(executors, victim))
}

/** Whoever dials the other: no byte passes. */
/** Two executors that do not reach each other, any two where there are more. */
async function cutPair(round: Round): Promise<void> {
  const [one = '', other = ''] = round.options.prng.shuffle(await round.ids('executor'))
  round.began(`${one} and ${other}`)
  await round.links.set(cutBetween(one, other))
  await round.loadRecovered()
  await round.links.set([])
}

/** With rows on their way, which whoever has sent them must send again: those that wait for the client are there already. */
async function cutResults(round: Round): Promise<void> {
  const from = await round.ids('coordinator')
  const to = await round.ids('executor')
  await round.links.set([{ from, to, fault: { kind: 'blackhole', way: 'back' } }])
  round.load.gate.open()
  await round.until('struck', round.bound(MOVED_MS), async () =>
    (await round.links.held()) > 0 ? undefined : 'no rows are on their way',
  )
  round.began(to.join(' and '))
  await round.links.set([{ from, to, fault: { kind: 'cut' } }])
  await round.links.set([])
}

/** Control sockets, results and segments, each way: what is doubled is dropped, what is missing is asked for again. */
async function disorder(round: Round): Promise<void> {
  const coordinators = await round.ids('coordinator')
  const executors = await round.ids('executor')
  const all = [...coordinators, ...executors]
  round.began(executors.join(' and '))
  const faults = (['to', 'back'] as const).flatMap((way): readonly Fault[] => [
    { kind: 'double', way, lateMs: 2_000, lateEach: 5 },
    { kind: 'reorder', way, messages: 2 },
  ])
  await round.links.set([
    ...faults.map((fault) => ({ from: executors, to: all, fault })),
    ...faults.map((fault) => ({ from: coordinators, to: executors, fault })),
  ])
  round.load.gate.open()
  await round.until('struck', round.bound(MOVED_MS), async () =>
    (await round.links.spoilt()) > 0 ? undefined : 'nothing was out of order',
  )
  await round.loadRecovered()
  await round.links.set([])
}

/** Puts faults on the links that a busy executor has dialled to coordinators, and on those that they have to it. */
async function cutExecutor(round: Round, dialled: Fault, accepted: Fault): Promise<void> {
  const victim = await busyExecutor(round)
  const coordinators = await round.ids('coordinator')
  round.began(victim)
  await round.links.set([
    { from: victim, to: coordinators, fault: dialled },
    { from: coordinators, to: victim, fault: accepted },
  ])
  await noticed(round, victim)
  await round.loadRecovered()
  await round.links.set([])
}

function streamsGoOn(round: Round): Promise<void> {
  return round.until('stall', round.bound(MOVED_MS), () =>
    round.load.streams.every(({ calls }) => calls.length > 0) ? undefined : 'a stream waits',
  )
}

/** The cut lasts until a leader that went by the registration alone would have taken its queries over. */
async function cutFromEtcd(round: Round): Promise<void> {
  const victim = await streaming(round)
  const { clock } = round.options
  round.began(victim)
  await round.links.set([{ from: victim, to: await round.ids('etcd'), fault: BLACKHOLE }])
  const endMs = clock.now() + LEASE_MS + ORPHAN_MS
  const moved = round.load.streams.map(({ moves }) => moves)
  await round.until('struck', round.bound(MOVED_MS) + LEASE_MS + ORPHAN_MS, () =>
    clock.now() > endMs ? undefined : 'the cut is not over',
  )
  const isLost = round
    .logged()
    .some(({ member, event }) => member === victim && event === 'registrationLost')
  await round.until('struck', 0, () => (isLost ? undefined : `${victim} was still registered`))
  // Were its queries another's by now, it would hear of that.
  await round.links.set([])
  await round.whole()
  round.load.gate.open()
  await streamsGoOn(round)
  const went = round.load.streams.find(({ moves }, i) => moves !== moved[i])
  await round.until('errors', 0, () =>
    went === undefined ? undefined : `${went.name} had to go elsewhere, though ${victim} lives`,
  )
}

/** After the lease is gone a leader waits 5 s for clients to come, and looks every half second. */
const ORPHAN_MS = 7_000
