import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { differenceInEtcd } from '../local/etcd-calls.ts'
import { pathsOf } from '../local/layout.ts'
import { isTableWrite } from './load.ts'
import type { Drill, Round } from './round.ts'
import {
  clientsGoOn,
  etcdLeader,
  isToldOfQuorum,
  MOVED_MS,
  stallEtcdLeader,
  withoutQuorum,
} from './strikes.ts'
import { WRITERS } from './write-drills.ts'

/** Drills of etcd's members under clients that write: they die in a row, are too few, and lose what they have on disk. */
export const ETCD_MEMBER_DRILLS: readonly Drill[] = [
  {
    name: 'etcd-quorum-lost-under-writes',
    summary: 'two of three members of etcd hang while clients write: each is told within 5 s',
    load: ['append', 'append', 'fill', 'fill', 'steps', 'steps', 'write', 'small'],
    bounds: { stallMs: 5_000 },
    run: loseQuorumUnderWrites,
    allows: isToldOfQuorum,
    mutant: { name: 'patient-metastore', fails: ['errors', 'stall'] },
  },
  {
    name: 'etcd-leader-kills',
    summary: 'SIGKILL of the leader of etcd ten times in a row while clients write',
    load: WRITERS,
    bounds: { stallMs: 6_000 },
    run: killLeaders,
    mutant: { name: 'no-commit-retry', fails: ['errors'] },
  },
  {
    name: 'etcd-member-wiped',
    summary:
      'the directory of a member of etcd is gone: it joins anew, and has what the others have',
    load: WRITERS,
    bounds: { stallMs: 6_000 },
    run: async (round) => {
      await spoilMember(round, (data) => rmSync(data, { recursive: true }))
    },
    afterwards: sameEverywhere,
    mutant: { name: 'no-member-replaced', fails: ['whole'] },
  },
  {
    name: 'etcd-member-damaged',
    summary: 'a bit of the log of a member of etcd is another: it joins anew without it',
    load: WRITERS,
    bounds: { stallMs: 6_000 },
    run: damageMember,
    afterwards: sameEverywhere,
    mutant: { name: 'no-member-replaced', fails: ['whole'] },
  },
]

/** Within so long each writer was told twice that it cannot be done: of a transaction and of a table. The stall counts itself. */
const ALL_TOLD_MS = 20_000
const TIMES_TOLD = 2

async function loseQuorumUnderWrites(round: Round): Promise<void> {
  const writers = round.load.clients.filter(({ kind }) => isTableWrite(kind) || kind === 'write')
  await withoutQuorum(round, () =>
    round.until('errors', round.bound(ALL_TOLD_MS), () => {
      const waiting = writers.find(({ calls }) => calls.filter(isToldOfQuorum).length < TIMES_TOLD)
      return waiting === undefined ? undefined : `${waiting.name} was neither served nor refused`
    }),
  )
}

const KILLS = 10

/** Each time the clients write again, and the member is back: a majority is there at any time. */
async function killLeaders(round: Round): Promise<void> {
  const executors = await executorsOf(round)
  for (let kill = 1; kill <= KILLS; kill++) {
    if (kill === 1) await round.strike(await stallEtcdLeader(round), 'SIGKILL')
    else await round.signal(await etcdLeader(round), 'SIGKILL')
    await clientsGoOn(round)
    await round.whole()
  }
  const givenUp = round.logged().find(({ event }) => event === 'executorLinkClosed')
  const after = await executorsOf(round)
  await round.until('whole', 0, () => {
    if (givenUp !== undefined) return `${givenUp.member} gave an executor up`
    return after === executors ? undefined : `executors were ${executors}, and are ${after}`
  })
}

async function executorsOf(round: Round): Promise<string> {
  const executors = await round.processes('executor')
  return executors.map(({ id, pid }) => `${id} of pid ${pid}`).join(', ')
}

/** Does something to what a member of etcd has on disk while it cannot notice, and kills it. */
async function spoilMember(round: Round, spoil: (data: string) => void): Promise<string> {
  const victim = round.options.prng.pick(await round.ids('etcd'))
  await round.strike(victim, 'SIGSTOP')
  const data = join(pathsOf(round.options.target.dir).etcd, victim)
  spoil(data)
  await round.signal(victim, 'SIGKILL')
  await round.loadRecovered()
  return data
}

/** What cannot be read is kept beside: that it was noticed, and not only repaired. */
async function damageMember(round: Round): Promise<void> {
  const data = await spoilMember(round, flipBitOfLog)
  await round.until('whole', round.bound(REPLACED_MS), () =>
    existsSync(`${data}.damaged`) ? undefined : `nobody has set "${data}" aside`,
  )
}
/** It is started, ends, and is started anew; the others may have to be connected for 5 s first. */
const REPLACED_MS = 20_000

/** In the midst of what was written there: of what comes last, etcd takes a part for not written yet. */
function flipBitOfLog(data: string): void {
  const directory = join(data, 'member', 'wal')
  const [name = ''] = readdirSync(directory)
    .filter((one) => one.endsWith('.wal'))
    .toSorted()
  const path = join(directory, name)
  const places: number[] = []
  const bytes = readFileSync(path)
  for (let at = bytes.indexOf(WRITTEN); at >= 0; at = bytes.indexOf(WRITTEN, at + 1))
    places.push(at)
  const at = places[Math.floor(places.length / 2)]
  if (at === undefined) throw new Error(`nothing of the cluster is in "${path}"`)
  const file = openSync(path, 'r+')
  try {
    writeSync(file, Uint8Array.of((bytes[at] ?? 0) ^ 1), 0, 1, at)
  } finally {
    closeSync(file)
  }
}
/** A piece of every key of the cluster. */
const WRITTEN = 'members/'

/** All members of etcd hold the same; one that is behind has a moment to catch up. */
function sameEverywhere(round: Round): Promise<void> {
  return round.until('exact', round.bound(MOVED_MS), async () => {
    try {
      return await differenceInEtcd(round.options.target.etcdEndpoints)
    } catch (error) {
      return (error as Error).message
    }
  })
}
