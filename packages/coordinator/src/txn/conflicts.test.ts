import { silentLog, systemClock } from '@nyala/client/base'
import { type MemberId, SqlError } from '@nyala/client/protocol'
import {
  Catalog,
  Keys,
  openCluster,
  planDropRelation,
  type TableRecord,
  WriteLog,
} from '@nyala/metastore'
import { createRelation, MemoryEtcd } from '@nyala/metastore/memory'
import t from 'tap'
import type { DataFile } from '../iceberg/manifest-file.ts'
import type { ChangeKind, TableChange } from '../write/change.ts'
import { Committer } from '../write/committer.ts'
import { WriteRuns } from '../write/write-run.ts'
import { turnsAlone } from '../write/testing/simulated-turns.ts'
import { tableIn, tableOf } from '../write/testing/simulated-world.ts'
import { contextOf, type Entry, entriesOf } from './testing/simulated-tables.ts'
import { Transactions } from './transactions.ts'

/** What each statement does to a table that has the files f1 and f2. MERGE is an UPDATE of the files that it changes. */
const STATEMENTS = {
  INSERT: { kind: 'append' },
  'UPDATE of f1': { kind: 'rewrite', files: new Set(['f1']) },
  'DELETE of f2': { kind: 'rewrite', files: new Set(['f2']) },
  /** INSERT OVERWRITE of a partition that has f1, and gets all files but those that come of f2. */
  'OVERWRITE of P': {
    kind: 'rewrite',
    files: new Set(['f1']),
    covers: (file) => !file.path.startsWith('f2'),
  },
  OVERWRITE: { kind: 'replaceAll' },
  TRUNCATE: { kind: 'replaceAll' },
  ALTER: { kind: 'schema' },
  DROP: undefined,
} as const satisfies Readonly<Record<string, ChangeKind | undefined>>
type Name = keyof typeof STATEMENTS

/**
 * A row is what was committed first, while a transaction with the statement of the column was open. `+`: it is committed,
 * too, on top of the first; `x`: it ends in 40001.
 */
const EXPECTED = `
                 INSERT  UPDATE of f1  DELETE of f2  OVERWRITE of P  OVERWRITE  TRUNCATE  ALTER  DROP
INSERT           +       +             +             x               x          x         +      +
UPDATE of f1     +       x             +             x               x          x         +      +
DELETE of f2     +       +             x             +               x          x         +      +
OVERWRITE of P   +       x             +             x               x          x         +      +
OVERWRITE        +       x             x             x               x          x         +      +
TRUNCATE         +       x             x             x               x          x         +      +
ALTER            x       x             x             x               x          x         x      +
DROP             x       x             x             x               x          x         x      x
`

const files = ({ comment }: Pick<TableRecord, 'comment'>): readonly Entry[] =>
  entriesOf({ comment } as TableRecord)

/** What a table is after a statement; files of the statement bear its mark. */
function applied(current: TableRecord, change: ChangeKind, mark: string): TableRecord {
  const snapshotId = current.snapshotId + 1
  if (change.kind === 'schema') return { ...current, schemaVersion: current.schemaVersion + 1 }
  const kept = files(current).filter(
    ({ file }) =>
      change.kind === 'append' || (change.kind === 'rewrite' && !change.files.has(file)),
  )
  // What comes of a file lies where that lay.
  const name = change.kind === 'rewrite' ? `${[...change.files].join()}.${mark}` : mark
  const entries = [...kept, { id: mark, file: name }]
  const comment = entries.map(({ id, file }) => `${id}=${file}`).join(' ')
  return { ...current, comment, snapshotId }
}

async function openWorld() {
  const clock = systemClock
  const kv = new MemoryEtcd(clock).connect()
  const keys = new Keys('test')
  const log = silentLog
  await openCluster({ kv, keys, clock })
  const catalog = await Catalog.open({ kv, keys, clock, log })
  for (const name of ['t0', 't1']) {
    await createRelation(catalog, { ...tableOf(name), comment: 'f1=f1 f2=f2' })
  }
  const writeLog = new WriteLog({ kv, keys, clock })
  const liveFiles = (table: TableRecord): Promise<readonly DataFile[]> =>
    Promise.resolve(files(table).map(({ file }) => ({ path: file }) as DataFile))
  const committer = new Committer({
    ...{ catalog, writeLog, decisions: writeLog, keys, clock, liveFiles, turns: turnsAlone(clock) },
  })
  const owner = { id: 'c1' as MemberId, startedAt: 1 }
  const runs = new WriteRuns({ writeLog, committer, keys, clock, log, owner, warehouse: '/' })
  const transactions = new Transactions({ runs, coordinator: 'c1', clock, log })
  return { catalog, runs, transactions }
}

type World = Awaited<ReturnType<typeof openWorld>>
type Current = ReturnType<typeof contextOf>['transaction']['current']

/** Runs a statement, in a transaction where one is given. */
async function execute(
  { runs, catalog }: World,
  statement: { readonly name: Name; readonly table: string; readonly id: string },
  transaction?: Current,
): Promise<void> {
  const { name, table, id } = statement
  const change: ChangeKind | undefined = STATEMENTS[name]
  const context = contextOf(id, { transaction })
  const identity = { id, fingerprint: 'f' }
  if (change === undefined) {
    const target = { database: 'default', name: table }
    const how = { identity, context, command: name }
    await runs.execute(how, (plan) => planDropRelation(plan, target, { expect: 'table' }))
    return
  }
  const snapshot =
    transaction !== undefined && 'catalog' in transaction ? transaction.catalog : catalog.snapshot()
  const base = tableIn(snapshot, table)
  const apply: TableChange['apply'] = (current) =>
    Promise.resolve({ record: applied(current, change, id), forgets: false })
  await runs.staged({ identity, context, command: name, locations: [] }, (write) =>
    write.update({ base, change, apply }, { rows: 1 }),
  )
}

/** `+` or `x`, and what the table then has. */
async function race(first: Name, second: Name, tables: readonly [string, string]): Promise<string> {
  const world = await openWorld()
  const { catalog, transactions } = world
  const begin = contextOf('begin', { catalog: catalog.snapshot(), sender: 'x' })
  await transactions.run({ kind: 'begin' }, begin)
  const { current } = begin.transaction
  await execute(world, { name: second, table: tables[1], id: 'second' }, current)
  await execute(world, { name: first, table: tables[0], id: 'first' })
  const session = current?.inSession
  const commit = contextOf('commit', {
    transaction: current,
    ...(session === undefined ? {} : { session }),
  })
  try {
    await transactions.run({ kind: 'commit' }, commit)
    return '+'
  } catch (error) {
    if (error instanceof SqlError && error.code === '40001') return 'x'
    throw error
  } finally {
    await catalog.close()
  }
}

const [header = '', ...lines] = EXPECTED.trim().split('\n')
const columns = header.trim().split(/\s{2,}/) as Name[]

for (const line of lines) {
  const [first = '', ...marks] = line.trim().split(/\s{2,}/)
  t.test(`after ${first}, each statement of another transaction ends as it must`, async (t) => {
    t.equal(marks.length, columns.length)
    for (const [i, second] of columns.entries()) {
      t.equal(await race(first as Name, second, ['t0', 't0']), marks[i], second)
      t.equal(await race(first as Name, second, ['t0', 't1']), '+', `${second} of another table`)
    }
  })
}
