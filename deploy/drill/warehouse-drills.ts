import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { connect, SqlError } from '@nyala/client'
import { pathsOf } from '../local/layout.ts'
import { pendingWrites } from './leftovers.ts'
import type { Call } from './load.ts'
import { struckAt } from './moment-drills.ts'
import type { Drill, Round } from './round.ts'
import { MOVED_MS } from './strikes.ts'
import { mountTmpfs, unlessRoot } from './tmpfs.ts'

/** Places in data files that are changed, one after another. */
const FLIPS = 8

/** What writers may be told: typed, and nothing is half done. */
const toldOneOf =
  (...errors: readonly string[]) =>
  ({ error }: Call): boolean =>
    error !== undefined && errors.includes(error.error)

/**
 * Of drills in which nothing can be written where managed tables lie. An executor has files of a write there by then, and
 * is about to say so: what they are named by cannot be written any more.
 */
const REFUSING = {
  load: ['append', 'fill', 'transfer', 'small'],
  bounds: { stallMs: 10_000 },
  warehouseBytes: 96 * 1024 * 1024,
  failpoints: true,
  cannotRun: unlessRoot,
  mutant: { name: 'no-staged-removal', fails: ['tidy'] },
} as const satisfies Partial<Drill>

/** Drills of the disk that managed tables lie on: it is full, it is read-only, it does not give back what was written. */
export const WAREHOUSE_DRILLS: readonly Drill[] = [
  {
    name: 'data-file-corrupted',
    summary: `a bit of a data file is another, at ${FLIPS} places: who reads it is told the file, and no row`,
    load: ['append', 'transfer', 'small'],
    bounds: { stallMs: 3_000 },
    run: flipBits,
    mutant: { name: 'no-data-checksum', fails: ['exact'] },
  },
  {
    name: 'warehouse-full',
    summary: 'there is no room left where managed tables lie',
    ...REFUSING,
    allows: toldOneOf('disk_full', 'io_error'),
    run: fillWarehouse,
  },
  {
    name: 'warehouse-read-only',
    summary: 'where managed tables lie nothing can be written',
    ...REFUSING,
    allows: toldOneOf('insufficient_privilege', 'io_error'),
    run: readOnly,
  },
]

export const warehouseOf = (dir: string): string => join(pathsOf(dir).data, 'warehouse')

/** A table of its own, which nobody else changes, and whose files are not known to any executor as right. */
async function flipBits(round: Round): Promise<void> {
  const { prng, target, database } = round.options
  await using db = await connect({ url: target.url, database })
  await db.execute(
    'CREATE TABLE IF NOT EXISTS kept AS SELECT i AS id, md5(CAST(i AS VARCHAR)) AS body FROM range(20000) t(i)',
  )
  const read = 'SELECT count(*) AS n, CAST(sum(length(body) + id) AS BIGINT) AS s FROM kept'
  const { rows: right } = await db.query(read)
  const [path = ''] = dataFilesOf(target.dir, database, 'kept')
  round.began(path)
  for (let flip = 0; flip < FLIPS; flip++) {
    const offset = prng.below(statSync(path).size)
    const restore = flipBit(path, offset, prng.below(8))
    const told = await db.query(read).then(
      ({ rows }) => `rows: ${JSON.stringify(rows, (_, value: unknown) => String(value))}`,
      (error: unknown) => error,
    )
    restore()
    const isNamed =
      told instanceof SqlError && told.error === 'data_corrupted' && told.message.includes(path)
    const what = told instanceof SqlError ? `${told.error}: ${told.message}` : String(told)
    await round.until('exact', 0, () =>
      isNamed ? undefined : `byte ${offset} of ${path} is another, and a reader was told ${what}`,
    )
  }
  const { rows: again } = await db.query(read)
  const isRight = String(again[0]?.['s']) === String(right[0]?.['s'])
  await round.until('exact', 0, () => (isRight ? undefined : 'restored, it is read differently'))
  await round.loadRecovered()
}

/** Changes a bit of a file, and returns what makes it right again. */
function flipBit(path: string, offset: number, bit: number): () => void {
  const right = Buffer.alloc(1)
  const file = openSync(path, 'r')
  try {
    readSync(file, right, 0, 1, offset)
  } finally {
    closeSync(file)
  }
  writeByte(path, offset, (right[0] ?? 0) ^ (1 << bit))
  return () => writeByte(path, offset, right[0] ?? 0)
}

function writeByte(path: string, offset: number, byte: number): void {
  const file = openSync(path, 'r+')
  try {
    writeSync(file, Buffer.from([byte]), 0, 1, offset)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function dataFilesOf(dir: string, database: string, table: string): readonly string[] {
  const parent = join(warehouseOf(dir), database)
  return readdirSync(parent)
    .filter((name) => name.startsWith(`${table}-w`))
    .flatMap((name) => {
      const data = join(parent, name, 'data')
      return readdirSync(data).map((file) => join(data, file))
    })
}

async function fillWarehouse(round: Round): Promise<void> {
  const directory = warehouseOf(round.options.target.dir)
  const ballast = join(directory, 'ballast')
  try {
    await whileStaged(round, () => {
      fill(directory, ballast)
      return Promise.resolve()
    })
    await refused(round)
  } finally {
    rmSync(ballast, { force: true })
  }
  await round.loadRecovered()
}

/** Strikes while an executor hangs whose files are there, and whose write is not decided yet. */
async function whileStaged(round: Round, strike: () => Promise<void>): Promise<void> {
  const { target } = round.options
  const victim = await struckAt(round, 'prepare.voting', { isFirst: true, what: 'stop' })
  try {
    await strike()
    const pending = await pendingWrites(target)
    const names = readdirSync(warehouseOf(target.dir), { recursive: true }).map(String)
    const isStaged = pending.some((id) => names.some((name) => basename(name).includes(id)))
    await round.until('struck', 0, () =>
      isStaged ? undefined : 'no file of a write is there that is not decided',
    )
  } finally {
    await round.signal(victim, 'SIGCONT')
  }
}

/** Takes all room that there is. */
function fill(directory: string, ballast: string): void {
  const { bavail, bsize } = statfsSync(directory)
  const chunk = randomBytes(bsize)
  const file = openSync(ballast, 'w')
  try {
    for (let blocks = 0; blocks < bavail + 1; blocks++) writeSync(file, chunk)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(file)
  }
}

/** Every client that writes has been told so. */
async function refused(round: Round): Promise<void> {
  const writers = round.load.clients.filter(({ kind }) => kind !== 'small')
  const isRefused = round.options.drill.allows ?? (() => false)
  await round.until('errors', round.bound(MOVED_MS), () => {
    const missing = writers.find(({ calls }) => !calls.some(isRefused))
    return missing === undefined ? undefined : `${missing.name} was told nothing`
  })
}

async function readOnly(round: Round): Promise<void> {
  const directory = warehouseOf(round.options.target.dir)
  try {
    // Refused while a file is being written: there is a moment between two.
    await whileStaged(round, () =>
      round.until('struck', round.bound(MOVED_MS), () => remounted(directory, 'ro')),
    )
    await refused(round)
  } finally {
    await remounted(directory, 'rw')
  }
  await round.loadRecovered()
}

async function remounted(directory: string, how: 'ro' | 'rw'): Promise<string | undefined> {
  try {
    await promisify(execFile)('mount', ['-o', `remount,${how}`, directory])
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Puts a file system in memory where managed tables will lie; the returned function takes it away. */
export async function mountWarehouse(dir: string, bytes: number): Promise<() => Promise<void>> {
  const directory = warehouseOf(dir)
  mkdirSync(directory, { recursive: true })
  return mountTmpfs(directory, bytes)
}
