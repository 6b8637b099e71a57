import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { planSample, type SampleFile } from './plan.ts'
import { sizesAt } from './sizes.ts'
import { quoted, setUp } from './tpch-sql.ts'

/** As large as DuckDB's own, the unit in which readers skip and share work. */
const ROW_GROUP_ROWS = 122_880
/** Level 1 measured as fast as snappy and a quarter smaller. */
const COPY_OPTIONS = `FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE ${ROW_GROUP_ROWS}`
/** Each connection holds a few row groups; this is far above it at any scale. */
const MEMORY_LIMIT = '2GB'

export interface WriteOptions {
  readonly dir: string
  readonly scaleFactor: number
  /** Files written at a time. */
  readonly connections: number
}

export interface WrittenTable {
  readonly rows: number
  readonly files: number
}

/** Writes all files of the sample; resolves with what each table got. */
export async function writeSample(
  options: WriteOptions,
): Promise<Readonly<Record<string, WrittenTable>>> {
  const sizes = sizesAt(options.scaleFactor)
  const jobs = [...planSample(options.dir, sizes)]
  const tables: Record<string, WrittenTable> = {}
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(options.connections),
    memory_limit: MEMORY_LIMIT,
  })
  const takeJobs = async (): Promise<void> => {
    const connection = await instance.connect()
    for (const statement of setUp(sizes)) await connection.run(statement)
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      for (const file of job) {
        const rows = await writeFile(connection, file)
        const before = tables[file.table] ?? { rows: 0, files: 0 }
        tables[file.table] = { rows: before.rows + rows, files: before.files + 1 }
      }
    }
  }
  await Promise.all(Array.from({ length: options.connections }, takeJobs))
  return tables
}

async function writeFile(connection: DuckDBConnection, file: SampleFile): Promise<number> {
  await mkdir(dirname(file.path), { recursive: true })
  const result = await connection.run(
    `COPY (${file.query}) TO ${quoted(file.path)} (${COPY_OPTIONS})`,
  )
  return Number(result.rowsChanged)
}
