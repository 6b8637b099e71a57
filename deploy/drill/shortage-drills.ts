import { execFile } from 'node:child_process'
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pathsOf } from '../local/layout.ts'
import { childrenOf } from './kernels.ts'
import type { Drill, Round } from './round.ts'
import { busyExecutor, MOVED_MS } from './strikes.ts'
import { mountTmpfs, unlessRoot } from './tmpfs.ts'

/** Drills of what machines run short of: room and directories on disks, descriptors, bytes that stay as they are. */
export const SHORTAGE_DRILLS: readonly Drill[] = [
  {
    name: 'segments-corrupted',
    summary: 'bytes of segments are changed on their way from one executor to another',
    load: ['small', 'divided', 'divided'],
    bounds: { stallMs: 3_000 },
    links: true,
    apart: true,
    run: async (round) => {
      const executors = await round.ids('executor')
      round.began(executors.join(' and '))
      const fault = { kind: 'corrupt', way: 'back', pieces: 1 } as const
      await round.links.set([{ from: executors, to: executors, fault }])
      await round.until('struck', round.bound(MOVED_MS), async () =>
        (await round.links.spoilt()) > 0 ? undefined : 'nothing was corrupted',
      )
      await round.loadRecovered()
      await round.links.set([])
    },
    mutant: { name: 'no-segment-checksum', fails: ['exact', 'errors'] },
  },
  {
    name: 'exchange-directory-lost',
    summary: 'the directory that an executor writes segments to is gone, and cannot be made anew',
    load: ['small', 'divided', 'divided'],
    bounds: { stallMs: 3_000 },
    run: async (round) => {
      const root = join(pathsOf(round.options.target.dir).data, 'exchange')
      const executors = round.options.prng.shuffle(await round.ids('executor'))
      let directory = ''
      // What is there is about to be read.
      await round.until('struck', round.bound(MOVED_MS), () => {
        const victim = executors.find((id) => filesBelow(join(root, id), '.parquet') > 0)
        if (victim === undefined) return 'no executor has a segment'
        directory = join(root, victim)
        round.began(victim)
        renameSync(directory, `${directory}-lost`)
        writeFileSync(directory, '')
        return undefined
      })
      try {
        await round.loadRecovered()
      } finally {
        rmSync(directory)
        rmSync(`${directory}-lost`, { recursive: true, force: true })
      }
    },
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
  {
    name: 'exchange-disk-full',
    summary: 'the file system that an executor writes segments to is full: its tasks go elsewhere',
    load: ['small', 'divided', 'divided'],
    bounds: { stallMs: 3_000 },
    cannotRun: unlessRoot,
    run: async (round) => {
      const [victim = ''] = round.options.prng.shuffle(await round.ids('executor'))
      await fillUp(round, 'exchange', victim)
    },
    mutant: { name: 'no-room-elsewhere', fails: ['errors'] },
  },
  {
    name: 'spill-disk-full',
    summary: 'the file system that an executor spills to is full: what spills goes elsewhere',
    load: ['small', 'spill', 'spill'],
    bounds: { stallMs: 3_000 },
    cannotRun: unlessRoot,
    run: async (round) => fillUp(round, 'spill', await spilling(round)),
    mutant: { name: 'no-room-elsewhere', fails: ['errors'] },
  },
  {
    name: 'spill-disks-full',
    summary:
      'no executor has room to spill to: what spills is refused by the name of the directory',
    load: ['small', 'divided', 'spill'],
    bounds: { stallMs: 3_000 },
    cannotRun: unlessRoot,
    run: fillAllSpills,
    allows: ({ kind, error }) =>
      kind === 'spill' &&
      (error?.error === 'disk_full' || error?.error === 'io_error') &&
      error.message.includes('/spill/'),
    mutant: { name: 'no-spill-errors', fails: ['errors'] },
  },
  {
    name: 'spill-directory-lost',
    summary: 'the directory that an executor spills to is gone, and cannot be made anew',
    load: ['small', 'spill', 'spill'],
    bounds: { stallMs: 3_000 },
    run: loseSpill,
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
  {
    name: 'descriptors-short',
    summary: 'an executor and its kernels can open no file and no socket more',
    load: ['small', 'divided', 'divided', 'slow'],
    bounds: { stallMs: 5_000 },
    run: async (round) => {
      const victim = await busyExecutor(round)
      const pid = (await round.process(victim))?.pid ?? 0
      const before = [pid, ...childrenOf(pid)].map((one) => ({ pid: one, limit: limitOf(one) }))
      round.began(victim)
      try {
        for (const one of before) await limitDescriptors(one.pid, firstFree(one.pid))
        await round.loadRecovered()
      } finally {
        for (const one of before) {
          // A kernel may have been replaced meanwhile.
          if (existsSync(`/proc/${one.pid}`)) await limitDescriptors(one.pid, one.limit)
        }
      }
    },
    mutant: { name: 'no-retry-elsewhere', fails: ['errors'] },
  },
]

/** Where an executor keeps segments, or what its kernels spill. */
const directoryOf = (round: Round, part: 'exchange' | 'spill', executor: string): string =>
  join(pathsOf(round.options.target.dir).data, part, executor)

/** Puts a file system without room there at one of the executors, until queries have gone elsewhere. */
async function fillUp(round: Round, part: 'exchange' | 'spill', victim: string): Promise<void> {
  round.began(victim)
  const directory = directoryOf(round, part, victim)
  const unmount = await mountTmpfs(directory, FULL_BYTES)
  try {
    await untilMet(round, 'disk_full')
    await round.loadRecovered()
  } finally {
    const endedMs = round.options.clock.wall()
    await unmount()
    if (part === 'exchange') removeOlder(directory, endedMs)
  }
}

/**
 * Segments that lay below another file system when their queries ended, so that nobody could remove them. These have ended:
 * every client has been answered since.
 */
function removeOlder(directory: string, thanMs: number): void {
  for (const query of readdirSync(directory)) {
    const path = join(directory, query)
    const made = statSync(path, { throwIfNoEntry: false })?.birthtimeMs ?? thanMs
    if (made < thanMs) rmSync(path, { recursive: true, force: true })
  }
}

/** Until somebody was told so, while others are answered; then there is room again. */
async function fillAllSpills(round: Round): Promise<void> {
  const unmounts: (() => Promise<void>)[] = []
  round.began('')
  try {
    for (const id of await round.ids('executor')) {
      unmounts.push(await mountTmpfs(directoryOf(round, 'spill', id), FULL_BYTES))
    }
    await round.until('errors', round.bound(MOVED_MS), () => {
      const refused = round.load.calls.some(({ error }) => error?.error === 'disk_full')
      return refused ? undefined : 'nobody was told that there is no room'
    })
    await othersRecovered(round)
  } finally {
    for (const unmount of unmounts) await unmount()
  }
}

/** Clients that need no room to spill. */
async function othersRecovered(round: Round): Promise<void> {
  await round.until('stall', round.bound(MOVED_MS), () => {
    const others = round.load.clients.filter(({ kind }) => kind !== 'spill')
    const waiting = others.find((client) => !client.recovered)
    return waiting === undefined ? undefined : `${waiting.name} did nothing well since`
  })
}

/** An executor that spills: tasks of the same files go to the same one for as long as it has a slot, not to any. */
async function spilling(round: Round): Promise<string> {
  const executors = round.options.prng.shuffle(await round.ids('executor'))
  let found: string | undefined
  await round.until('struck', round.bound(MOVED_MS), () => {
    found = executors.find((id) => filesBelow(directoryOf(round, 'spill', id), '.tmp') > 0)
    return found === undefined ? 'no executor spills' : undefined
  })
  return found ?? ''
}

/** A file is where the directory was: nothing can be made in it. */
async function loseSpill(round: Round): Promise<void> {
  const victim = await spilling(round)
  const directory = directoryOf(round, 'spill', victim)
  round.began(victim)
  renameSync(directory, `${directory}-lost`)
  writeFileSync(directory, '')
  try {
    await untilMet(round, 'io_error')
    await round.loadRecovered()
  } finally {
    rmSync(directory)
    renameSync(`${directory}-lost`, directory)
  }
}

/** Either its task goes elsewhere, which is logged, or whoever asked is told. */
async function untilMet(round: Round, error: 'disk_full' | 'io_error'): Promise<void> {
  await round.until('struck', round.bound(MOVED_MS), () => {
    const isLogged = round.logged().some(({ fields }) => fields['error'] === error)
    const isTold = round.load.calls.some((call) => call.error?.error === error)
    return isLogged || isTold ? undefined : `no task of ${round.victim} ended with ${error}`
  })
}

/** Room for directories, not for rows: a page. */
const FULL_BYTES = 4096

/** Executors make and delete what is in there all the time. */
function filesBelow(directory: string, extension: '.parquet' | '.tmp'): number {
  try {
    const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    return names.filter((name) => name.endsWith(extension)).length
  } catch {
    return 0
  }
}

/** The soft limit of a process that runs. It has what it has open, and gets EMFILE for more. */
async function limitDescriptors(pid: number, limit: number): Promise<void> {
  await promisify(execFile)('prlimit', ['--pid', String(pid), `--nofile=${limit}:`])
}

function limitOf(pid: number): number {
  const found = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))
  if (found === null) throw new Error(`process ${pid} does not say how many files it may open`)
  return Number(found[1])
}

/** The first number that no descriptor of a process has: with it as the limit there are no more. */
function firstFree(pid: number): number {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
  let free = 0
  while (open.has(free)) free++
  return free
}
