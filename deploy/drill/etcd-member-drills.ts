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
import type { Drill, Round } from './round.ts'
import { MOVED_MS } from './strikes.ts'

const WRITERS = ['append', 'append', 'transfer', 'transfer', 'small'] as const

/** Drills of etcd's members that lose what they have on disk, under clients that write. */
export const ETCD_MEMBER_DRILLS: readonly Drill[] = [
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
