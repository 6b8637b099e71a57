import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Column } from '@nyala/client/protocol'
import { type Fragment, type PhysicalPlan, taskCount, taskSql } from '@nyala/coordinator/testing'
import { renderTaskSql } from '@nyala/executor/protocol'

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

/**
 * Runs a plan task by task as executors would: the same statements, segments of Parquet between fragments, segments
 * without rows left out. Rows of the last fragment's tasks come in the order of the tasks.
 */
/** No path is used twice: the kernel keeps what it has read of a file. */
let runs = 0

export async function runPlan(
  plan: PhysicalPlan,
  kernel: DuckDBConnection,
  directory: string,
): Promise<Rows> {
  const segments = new Map<number, string[]>()
  const written: string[] = []
  runs++
  let result: Rows = { columns: [], rows: [] }
  try {
    for (const fragment of plan.fragments) {
      for (let task = 0; task < taskCount(fragment); task++) {
        const parts = taskSql(plan, fragment, task)
        const sql = renderTaskSql(parts, (exchange) => segments.get(exchange) ?? [])
        if (fragment.output.kind === 'result') result = append(result, await runText(kernel, sql))
        else {
          const path = join(directory, `r${runs}-f${fragment.id}-t${task}.parquet`)
          written.push(path)
          const rows = await writeSegment(kernel, sql, path)
          if (rows > 0) push(segments, fragment, path)
        }
      }
    }
    return result
  } finally {
    for (const path of written) await rm(path, { force: true })
  }
}

function push(segments: Map<number, string[]>, fragment: Fragment, path: string): void {
  if (fragment.output.kind !== 'exchange') return
  const { exchange } = fragment.output
  segments.set(exchange, [...(segments.get(exchange) ?? []), path])
}

function append(before: Rows, next: Rows): Rows {
  if (before.columns.length === 0) return next
  const [a, b] = [JSON.stringify(before.columns), JSON.stringify(next.columns)]
  if (a !== b) throw new Error(`tasks of one fragment have different columns: ${a} and ${b}`)
  return { columns: before.columns, rows: [...before.rows, ...next.rows] }
}

async function writeSegment(kernel: DuckDBConnection, sql: string, path: string): Promise<number> {
  const described = await kernel.runAndReadAll(`DESCRIBE ${sql}`)
  const items = described.getRows().map((row) => {
    const name = `"${String(row[0]).replaceAll('"', '""')}"`
    const type = SEGMENT_TYPES[String(row[1])]
    return type === undefined ? name : `CAST(${name} AS ${type}) AS ${name}`
  })
  const source = `SELECT ${items.join(', ')} FROM (${sql}) AS t`
  const reader = await kernel.runAndReadAll(`COPY (${source}) TO '${path}' (FORMAT parquet)`)
  return Number(reader.getRows()[0]?.[0] ?? 0)
}
