import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { Prng } from '@nyala/client/base'
import { PlanningWorld } from '@nyala/coordinator/testing'
import { listParquet } from './listing.ts'
import {
  allColumns,
  BROAD,
  columnRecords,
  type FileShape,
  type GeneratedTable,
  IN_ORDER,
  TABLES,
  VIEWS,
} from './tables.ts'

/** The seed of the data; queries have seeds of their own. */
const DATA_SEED = 20261122

/**
 * The same data twice: as tables of a DuckDB instance, which gives the reference answers, and as Parquet files that the
 * planner knows as external tables. Nothing that is tested has a part in the making of the former.
 */
export interface RandomWorld extends AsyncDisposable {
  readonly planning: PlanningWorld
  /** Has the tables themselves. */
  readonly reference: DuckDBConnection
  /** Has nothing, and reads what tasks tell it to. */
  readonly kernel: DuckDBConnection
  /** For segments. */
  readonly directory: string
}

export async function openRandomWorld(directory: string): Promise<RandomWorld> {
  const settings = { threads: '1' }
  // Opened one after another and closed the other way round, also those of a world that could not be made.
  const closers: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  const connect = async (): Promise<DuckDBConnection> => {
    const instance = await DuckDBInstance.create(':memory:', settings)
    closers.push(() => instance.closeSync())
    const connection = await instance.connect()
    closers.push(() => connection.closeSync())
    return connection
  }
  try {
    const reference = await connect()
    const kernel = await connect()
    const planning = await PlanningWorld.open(join(directory, 'manifests'))
    closers.push(() => planning[Symbol.asyncDispose]())
    const segments = join(directory, 'segments')
    await mkdir(segments)
    await fillWorld(directory, { planning, reference, kernel })
    return { planning, reference, kernel, directory: segments, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

async function fillWorld(
  directory: string,
  { planning, reference, kernel }: Pick<RandomWorld, 'planning' | 'reference' | 'kernel'>,
): Promise<void> {
  for (const connection of [reference, kernel]) await connection.run("SET TimeZone = 'UTC'")
  await reference.run('CREATE SCHEMA "default"')
  await reference.run(`SET schema = '"default"'`)
  const random = new Prng(DATA_SEED)
  for (const table of [...TABLES, ...IN_ORDER.values(), BROAD]) {
    const location = join(directory, table.name)
    await makeTable(table, random, { reference, location })
    await planning.addTable({
      name: table.name,
      listing: await listParquet(kernel, location),
      columns: columnRecords(table.columns),
      partitionColumns: columnRecords(table.partitionColumns),
    })
  }
  for (const view of VIEWS) {
    await reference.run(`CREATE VIEW ${view.name} AS ${view.sql}`)
    await planning.addView(view.name, view.sql)
  }
}

async function makeTable(
  table: GeneratedTable,
  random: Prng,
  to: { readonly reference: DuckDBConnection; readonly location: string },
): Promise<void> {
  const { reference, location } = to
  await mkdir(location)
  const columns = allColumns(table)
  const definitions = columns.map((c) => `"${c.name}" ${c.type}`).join(', ')
  await reference.run(`CREATE TABLE ${table.name} (${definitions})`)
  let row = 0
  for (const [index, file] of table.files.entries()) {
    const first = row
    for (const rows of file.rowGroups) {
      const tuples: string[] = []
      for (let i = 0; i < rows; i++) {
        const values = columns.map((c) => {
          const value = c.value(random, row)
          if (file.missing?.includes(c.name) === true) return 'NULL'
          // What the file's narrower type would round must be the same in the reference.
          return file.drift !== undefined && c.kind === 'decimal' && value !== 'NULL'
            ? Number(value).toFixed(1)
            : value
        })
        tuples.push(`(${values.join(', ')})`)
        row++
      }
      if (tuples.length > 0)
        await reference.run(`INSERT INTO ${table.name} VALUES ${tuples.join(', ')}`)
    }
    await writeFile(table, file, { reference, path: join(location, `f${index}.parquet`), first })
  }
}

/** DuckDB begins a row group where a batch of rows ends, so each group is written by a branch of its own. */
async function writeFile(
  table: GeneratedTable,
  file: FileShape,
  to: { readonly reference: DuckDBConnection; readonly path: string; readonly first: number },
): Promise<void> {
  const items =
    file.drift ??
    allColumns(table)
      .map((c) => `"${c.name}"`)
      .join(', ')
  let first = to.first
  const branches = file.rowGroups.map((rows) => {
    const range = `rowid >= ${first} AND rowid < ${first + rows}`
    first += rows
    return `(SELECT ${items} FROM ${table.name} WHERE ${range} ORDER BY rowid)`
  })
  const query = branches.join(' UNION ALL ')
  if (table.partitionColumns.length === 0) {
    await to.reference.run(`COPY (${query}) TO '${to.path}' (FORMAT parquet, ROW_GROUP_SIZE 10)`)
    return
  }
  const keys = table.partitionColumns.map((c) => c.name).join(', ')
  await to.reference.run(
    `COPY (${query}) TO '${join(to.path, '..')}' (FORMAT parquet, PARTITION_BY (${keys}), OVERWRITE_OR_IGNORE)`,
  )
}
