import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Column } from '@nyala/client/protocol'
import type { FileStatistics, ListedFile, Listing } from '@nyala/executor/protocol'
import { fileStatisticsOf, readFooter } from '@nyala/executor/storage'

const HIVE_NULL = '__HIVE_DEFAULT_PARTITION__'
/** Bytes are told to be this many times as many, so that small files are worth cutting between row groups. */
const BYTES_FACTOR = 4096

/** What an executor's listing would say of a directory of Parquet files, found by DuckDB's own readers but for the statistics. */
export async function listParquet(
  connection: DuckDBConnection,
  location: string,
): Promise<Listing> {
  const names = await readdir(location, { recursive: true })
  const files: ListedFile[] = []
  const schemas: (readonly Column[])[] = []
  for (const name of names.filter((n) => n.endsWith('.parquet')).sort()) {
    const path = join(location, name)
    const schema = await schemaOf(connection, path)
    const known = schemas.findIndex((s) => JSON.stringify(s) === JSON.stringify(schema))
    if (known < 0) schemas.push(schema)
    const rowGroups = await rowGroupsOf(connection, path)
    const status = await stat(path)
    const statistics = await statisticsOf(path, status.size, schema)
    files.push({
      path,
      bytes: status.size * BYTES_FACTOR,
      modifiedMs: Math.floor(status.mtimeMs),
      rows: rowGroups.reduce((sum, group) => sum + group.rows, 0),
      rowGroups,
      schema: known < 0 ? schemas.length - 1 : known,
      ...(statistics === undefined ? {} : { statistics }),
      partition: partitionOf(name),
    })
  }
  return { location, files, schemas }
}

async function statisticsOf(
  path: string,
  size: number,
  schema: readonly Column[],
): Promise<FileStatistics | undefined> {
  const file = await open(path, 'r')
  try {
    return fileStatisticsOf(await readFooter(file, path, size), schema)
  } finally {
    await file.close()
  }
}

async function schemaOf(connection: DuckDBConnection, path: string): Promise<readonly Column[]> {
  const reader = await connection.runAndReadAll(
    `DESCRIBE SELECT * FROM read_parquet('${path.replaceAll("'", "''")}', hive_partitioning = false)`,
  )
  return reader.getRows().map((row) => ({ name: String(row[0]), type: String(row[1]) }))
}

async function rowGroupsOf(
  connection: DuckDBConnection,
  path: string,
): Promise<readonly { readonly rows: number; readonly bytes: number }[]> {
  const reader = await connection.runAndReadAll(
    `SELECT any_value(row_group_num_rows), sum(total_compressed_size)
     FROM parquet_metadata('${path.replaceAll("'", "''")}') GROUP BY row_group_id ORDER BY row_group_id`,
  )
  return reader
    .getRows()
    .map((row) => ({ rows: Number(row[0]), bytes: Number(row[1]) * BYTES_FACTOR }))
}

const partitionOf = (name: string): ListedFile['partition'] =>
  name
    .split('/')
    .slice(0, -1)
    .flatMap((directory) => {
      const at = directory.indexOf('=')
      const value = directory.slice(at + 1)
      return at < 1
        ? []
        : [
            {
              key: decodeURIComponent(directory.slice(0, at)),
              value: value === HIVE_NULL ? null : decodeURIComponent(value),
            },
          ]
    })
