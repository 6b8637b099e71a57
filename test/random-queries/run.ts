import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Column } from '@nyala/client/protocol'
import {
  type Fragment,
  partsOf,
  type PhysicalPlan,
  type Produced,
  segmentsOf,
  taskSql,
  writtenAs,
} from '@nyala/coordinator/testing'
import { renderTaskSql, type Segment } from '@nyala/executor/protocol'

export interface Rows {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly unknown[])[]
}

/** More rows than this are not worth comparing. */
export const ROWS_MAX = 20_000

export class TooManyRows extends Error {}

export async function runText(connection: DuckDBConnection, sql: string): Promise<Rows> {
  const reader = await connection.streamAndReadUntil(sql, ROWS_MAX + 1)
  if (reader.currentRowCount > ROWS_MAX) throw new TooManyRows(`more than ${ROWS_MAX} rows`)
  const types = reader.columnTypes()
  return {
    columns: reader.columnNames().map((name, i) => ({ name, type: typeName(types[i]) })),
    rows: reader.getRows(),
  }
}

const typeName = (
  type: { toString(): string; readonly alias?: string | undefined } | undefined,
): string => type?.alias ?? type?.toString() ?? 'unknown'

/** Types that an executor casts before it writes a segment, and to what. */
const SEGMENT_TYPES: Readonly<Record<string, string>> = {
  HUGEINT: 'DECIMAL(38,0)',
  UHUGEINT: 'DECIMAL(38,0)',
  'TIME WITH TIME ZONE': 'VARCHAR',
  BIT: 'VARCHAR',
  BIGNUM: 'VARCHAR',
}

/** No path is used twice: the kernel keeps what it has read of a file. */
let runs = 0

/**
 * Runs a plan task by task as executors would: the same statements, segments of Parquet between fragments, segments
 * without rows left out. Rows of the last fragments' tasks come in the order of the tasks.
 */
export async function runPlan(
  plan: PhysicalPlan,
  where: {
    readonly kernel: DuckDBConnection
    readonly directory: string
    readonly slots: number
  },
): Promise<Rows> {
  const { kernel, slots } = where
  const directory = join(where.directory, `run${runs++}`)
  await mkdir(directory)
  const exchanges = new Map<number, Produced[]>()
  const produced = (exchange: number): readonly Produced[] =>
    exchanges.get(writtenAs(plan, exchange)) ?? []
  let result: Rows = { columns: [], rows: [] }
  try {
    for (const fragment of plan.fragments) {
      const parts = partsOf(fragment, produced, { slots, bytesMin: 0 })
      for (const [task, part] of parts.entries()) {
        const segments = new Map(
          fragment.inputs.map((input) => [
            input.exchange,
            segmentsOf(input, part, produced(input.exchange)),
          ]),
        )
        const sql = renderTaskSql(taskSql(plan, fragment, part), (exchange) =>
          (segments.get(exchange) ?? []).map((segment) => segment.path),
        )
        if (fragment.output.kind === 'result') result = append(result, await runText(kernel, sql))
        else {
          const producer = `${fragment.id}/${task}`
          const written = await writeSegments(kernel, sql, { fragment, task, directory })
          const own = written.map((segment) => ({ producer, segment }))
          const { exchange } = fragment.output
          exchanges.set(exchange, [...produced(exchange), ...own])
        }
      }
    }
    return result
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function append(before: Rows, next: Rows): Rows {
  if (before.columns.length === 0) return next
  const [a, b] = [JSON.stringify(before.columns), JSON.stringify(next.columns)]
  if (a !== b) throw new Error(`tasks of one fragment have different columns: ${a} and ${b}`)
  return { columns: before.columns, rows: [...before.rows, ...next.rows] }
}

/** The segments of one task, each with its bucket. */
async function writeSegments(
  kernel: DuckDBConnection,
  sql: string,
  to: { readonly fragment: Fragment; readonly task: number; readonly directory: string },
): Promise<readonly Segment[]> {
  const { output } = to.fragment
  if (output.kind !== 'exchange') return []
  const described = await kernel.runAndReadAll(`DESCRIBE ${sql}`)
  const items = described.getRows().map((row) => {
    const name = `"${String(row[0]).replaceAll('"', '""')}"`
    const type = SEGMENT_TYPES[String(row[1])]
    return type === undefined ? name : `CAST(${name} AS ${type}) AS ${name}`
  })
  const path = join(to.directory, `f${to.fragment.id}-t${to.task}`)
  const isBucketed = output.keys.length > 0
  if (isBucketed)
    items.push(`(hash(${output.keys.join(', ')}) % ${output.buckets})::INTEGER AS __p`)
  const source = `SELECT ${items.join(', ')} FROM (${sql}) AS t`
  const target = isBucketed ? `'${path}'` : `'${path}.parquet'`
  const options = ['FORMAT parquet', 'RETURN_STATS', ...(isBucketed ? ['PARTITION_BY (__p)'] : [])]
  const reader = await kernel.runAndReadAll(`COPY (${source}) TO ${target} (${options.join(', ')})`)
  const written: Segment[] = []
  for (const [file, rows, bytes] of reader.getRows()) {
    if (Number(rows) === 0) continue
    const bucket = Number(/__p=(\d+)\/[^/]+$/.exec(String(file))?.[1] ?? 0)
    // A directory with `=` in its name would become a column.
    const published = `${path}-${written.length}-b${bucket}.parquet`
    await rename(String(file), published)
    const place = { executor: 'e', address: '', host: '', path: published, crc: 0 }
    written.push({ ...place, partition: bucket, rows: Number(rows), bytes: Number(bytes) })
  }
  return written
}
