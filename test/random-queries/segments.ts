import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Fragment } from '@nyala/coordinator/testing'
import type { Segment } from '@nyala/executor/protocol'

/** Of files so small most is not rows. */
const ROW_BYTES = 32
/** Of the statements of a fragment, each of so many is looked at besides the first. */
const DESCRIBED = 8

/** Types that an executor casts before it writes a segment, and to what. */
const SEGMENT_TYPES: Readonly<Record<string, string>> = {
  HUGEINT: 'VARCHAR',
  UHUGEINT: 'VARCHAR',
  'TIME WITH TIME ZONE': 'VARCHAR',
  BIT: 'VARCHAR',
  BIGNUM: 'VARCHAR',
}

interface Written {
  /** The select list that casts what a segment cannot hold. */
  readonly items: string
  /** Names and types of the columns before that. */
  readonly types: string
}

/** Segments as executors have them: Parquet files of one directory. */
export class SegmentFiles {
  readonly #kernel: DuckDBConnection
  readonly #directory: string
  readonly #written = new Map<Fragment, Written>()
  #attempts = 0

  constructor(kernel: DuckDBConnection, directory: string) {
    this.#kernel = kernel
    this.#directory = directory
  }

  /** The segments of one task, each with its bucket. */
  async write(sql: string, fragment: Fragment): Promise<readonly Segment[]> {
    const { output } = fragment
    if (output.kind !== 'exchange') return []
    const path = join(this.#directory, `f${fragment.id}-a${++this.#attempts}`)
    const { items } = await this.#writtenAs(fragment, sql)
    const isBucketed = output.keys.length > 0
    const source = `SELECT ${isBucketed ? `${items}, ${bucketOf(output)}` : items} FROM (${sql}) AS t`
    const target = isBucketed ? `'${path}'` : `'${path}.parquet'`
    const options = [
      'FORMAT parquet',
      'PARQUET_VERSION v2',
      'COMPRESSION uncompressed',
      'DICTIONARY_SIZE_LIMIT 256',
      'RETURN_STATS',
      ...(isBucketed ? ['PARTITION_BY (__p)'] : []),
    ]
    const reader = await this.#kernel.runAndReadAll(
      `COPY (${source}) TO ${target} (${options.join(', ')})`,
    )
    const written: Segment[] = []
    for (const [file, rows] of reader.getRows()) {
      if (Number(rows) === 0) continue
      const bucket = Number(/__p=(\d+)\/[^/]+$/.exec(String(file))?.[1] ?? 0)
      // A directory with `=` in its name would become a column.
      const published = `${path}-${written.length}-b${bucket}.parquet`
      await rename(String(file), published)
      written.push(segment(published, bucket, Number(rows)))
    }
    return written
  }

  lose({ path }: Segment): Promise<void> {
    return rm(path)
  }

  readable(sql: string): string {
    return sql
  }

  /** Every statement of a fragment has the same columns, which is looked at for the first and some of the others. */
  async #writtenAs(fragment: Fragment, sql: string): Promise<Written> {
    const known = this.#written.get(fragment)
    if (known !== undefined && this.#attempts % DESCRIBED !== 0) return known
    const found = await describe(this.#kernel, sql)
    if (known !== undefined && known.types !== found.types)
      throw new Error(`tasks of one fragment differ: ${known.types} and ${found.types}`)
    this.#written.set(fragment, found)
    return found
  }
}

/** Segments as tables of a schema, which a statement reads where it would read files. */
export class SegmentTables {
  readonly #kernel: DuckDBConnection
  readonly #schema: string
  #attempts = 0

  constructor(kernel: DuckDBConnection, schema: string) {
    this.#kernel = kernel
    this.#schema = schema
  }

  /** The segments of one task, each with its bucket. */
  async write(sql: string, { output }: Fragment): Promise<readonly Segment[]> {
    if (output.kind !== 'exchange') return []
    const table = `${this.#schema}.a${++this.#attempts}`
    const isBucketed = output.keys.length > 0
    const bucket = isBucketed ? bucketOf(output) : '0 AS __p'
    await this.#kernel.run(`CREATE TABLE ${table} AS SELECT *, ${bucket} FROM (${sql}) AS t`)
    const reader = await this.#kernel.runAndReadAll(`SELECT __p, count(*) FROM ${table} GROUP BY 1`)
    return reader
      .getRows()
      .map(([p, rows]) => segment(`${table} ${String(p)}`, Number(p), Number(rows)))
  }

  async lose({ path, partition }: Segment): Promise<void> {
    const [table] = path.split(' ')
    await this.#kernel.run(`DELETE FROM ${table} WHERE __p = ${partition}`)
  }

  readable(sql: string): string {
    const files = new RegExp(
      `read_parquet\\(\\[((?:'${this.#schema}\\.a\\d+ \\d+'(?:, )?)+)\\], hive_partitioning = false\\)`,
      'g',
    )
    return sql.replaceAll(files, (_, paths: string) => {
      const selects = [...paths.matchAll(/'(\S+) (\d+)'/g)].map(
        ([, table, bucket]) => `SELECT * EXCLUDE (__p) FROM ${table} WHERE __p = ${bucket}`,
      )
      return `(${selects.join(' UNION ALL ')})`
    })
  }
}

const bucketOf = (output: { readonly keys: readonly string[]; readonly buckets: number }): string =>
  `(hash(${output.keys.join(', ')}) % ${output.buckets})::INTEGER AS __p`

const segment = (path: string, partition: number, rows: number): Segment => ({
  executor: 'e',
  address: '',
  host: '',
  crc: 0,
  path,
  partition,
  rows,
  bytes: rows * ROW_BYTES,
})

async function describe(kernel: DuckDBConnection, sql: string): Promise<Written> {
  const described = await kernel.runAndReadAll(`DESCRIBE ${sql}`)
  const columns = described.getRows().map((row) => {
    const name = `"${String(row[0]).replaceAll('"', '""')}"`
    const type = String(row[1])
    const cast = SEGMENT_TYPES[type]
    const item = cast === undefined ? name : `CAST(${name} AS ${cast}) AS ${name}`
    return { item, type: `${name} ${type}` }
  })
  return {
    items: columns.map(({ item }) => item).join(', '),
    types: columns.map(({ type }) => type).join(', '),
  }
}
