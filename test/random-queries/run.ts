import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { Prng } from '@nyala/client/base'
import type { Column } from '@nyala/client/protocol'
import {
  type ExchangeSize,
  type Fragment,
  partsOf,
  type PhysicalPlan,
  type Produced,
  segmentsOf,
  type TaskPart,
  taskSql,
  writtenAs,
  writtenExchanges,
} from '@nyala/coordinator/testing'
import { renderTaskSql, type Segment } from '@nyala/executor/protocol'

export interface Rows {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly unknown[])[]
}

/** More rows than this are not worth comparing. */
export const ROWS_MAX = 20_000
/** A statement that takes longer is left alone; a join may have far more rows than were thought. */
const TIMEOUT_MS = 4_000

export class TooLarge extends Error {}

export async function runText(connection: DuckDBConnection, sql: string): Promise<Rows> {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    connection.interrupt()
  }, TIMEOUT_MS)
  try {
    const reader = await connection.streamAndReadUntil(sql, ROWS_MAX + 1)
    if (isLate) throw new TooLarge('takes too long')
    if (reader.currentRowCount > ROWS_MAX) throw new TooLarge(`more than ${ROWS_MAX} rows`)
    const types = reader.columnTypes()
    return {
      columns: reader.columnNames().map((name, i) => ({ name, type: typeName(types[i]) })),
      rows: reader.getRows(),
    }
  } catch (error) {
    throw isLate ? new TooLarge('takes too long') : error
  } finally {
    clearTimeout(timer)
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

/** What a run came across besides running tasks. */
export type RunEvent =
  | 'stages joined by buckets'
  | 'bucket cut'
  | 'planned again'
  | 'task run again'
  | 'enough rows'
  | 'sorted by ranges'
  | 'computed once'
  | 'divided by values'
  | 'tables divided alike'

export interface RunOptions {
  readonly kernel: DuckDBConnection
  readonly directory: string
  readonly slots: number
  /** Says in what order tasks run, which run twice, and what sizes are claimed. */
  readonly random: Prng
  readonly events: Set<RunEvent>
}

/** Chances of what a cluster may do: report a size that changes the plan, or lose what a task has written. */
const CLAIM_CHANCE = 0.5
const LOSS_CHANCE = 0.15
const ENOUGH_CHANCE = 0.7
const ROW_BYTES = 32
/** More often than any query here has exchanges: what has been written is then written again and again. */
const PLANS_MAX = 60

interface Stage {
  readonly fragment: Fragment
  readonly parts: readonly TaskPart[]
  /** The segments of each task; undefined for one that need not run. */
  readonly written: (readonly Segment[] | undefined)[]
}

/**
 * Runs a plan task by task as the coordinator and its executors would: the same statements, segments of Parquet between
 * fragments, segments without rows left out, the rest planned again after each stage. Tasks run in any order.
 */
export async function runPlan(plan: PhysicalPlan, options: RunOptions): Promise<Rows> {
  const directory = join(options.directory, `run${runs++}`)
  await mkdir(directory)
  try {
    return await new PlanRun(plan, { ...options, directory }).run()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

class PlanRun {
  readonly #options: RunOptions
  readonly #stages: Stage[] = []
  #plan: PhysicalPlan
  /** What was said of the size of each exchange, which does not change any more. */
  readonly #claims = new Map<number, ExchangeSize>()
  #attempts = 0
  #plans = 0

  constructor(plan: PhysicalPlan, options: RunOptions) {
    this.#plan = plan
    this.#options = options
  }

  async run(): Promise<Rows> {
    let result: Rows = { columns: [], rows: [] }
    for (let index = 0; index < this.#plan.fragments.length; index++) {
      const fragment = this.#plan.fragments[index]
      if (fragment === undefined) throw new Error('a plan has its fragments')
      const { slots } = this.#options
      const parts = partsOf(fragment, (e) => this.#produced(e), { slots, bytesMin: 0 })
      const stage: Stage = { fragment, parts, written: parts.map(() => undefined) }
      this.#stages.push(stage)
      this.#note(stage)
      if (fragment.output.kind === 'result') {
        for (const part of parts) {
          await this.#loseOne()
          const sql = this.#sql(fragment, part)
          result = append(result, await runText(this.#options.kernel, sql))
        }
      } else await this.#write(stage)
      this.#adapt()
    }
    return result
  }

  #note({ fragment, parts }: Stage): void {
    const { events } = this.#options
    if (fragment.inputs.filter((input) => input.use === 'buckets').length > 1)
      events.add('stages joined by buckets')
    if (parts.some((part) => part.kind === 'buckets' && part.cut !== undefined))
      events.add('bucket cut')
    if (fragment.ranges !== undefined) events.add('sorted by ranges')
  }

  async #write(stage: Stage): Promise<void> {
    const { random } = this.#options
    const { rowsEnough } = stage.fragment
    let rows = 0
    for (const task of random.shuffle([...stage.parts.keys()])) {
      if (rowsEnough !== undefined && rows >= rowsEnough && random.chance(ENOUGH_CHANCE)) {
        this.#options.events.add('enough rows')
        return
      }
      await this.#loseOne()
      const segments = await this.#runTask(stage, task)
      stage.written[task] = segments
      rows += segments.reduce((sum, segment) => sum + segment.rows, 0)
    }
  }

  async #runTask(stage: Stage, task: number): Promise<readonly Segment[]> {
    const { kernel } = this.#options
    const { fragment, parts } = stage
    const part = parts[task]
    if (part === undefined) throw new Error('a task has a part')
    const path = join(this.#options.directory, `f${fragment.id}-t${task}-a${this.#attempts++}`)
    return writeSegments(kernel, this.#sql(fragment, part), { fragment, path })
  }

  /** Some task that has run does so again, and what it wrote before is gone. */
  async #loseOne(): Promise<void> {
    const { random } = this.#options
    if (!random.chance(LOSS_CHANCE)) return
    const ran = this.#stages.flatMap((stage) =>
      [...(stage.fragment.repeatable ? stage.written.keys() : [])].flatMap((task) =>
        stage.written[task] === undefined ? [] : [{ stage, task }],
      ),
    )
    if (ran.length === 0) return
    this.#options.events.add('task run again')
    const { stage, task } = random.pick(ran)
    const lost = stage.written[task] ?? []
    for (const { path } of lost) await rm(path)
    stage.written[task] = await this.#runTask(stage, task)
  }

  #sql(fragment: Fragment, part: TaskPart): string {
    const paths = new Map(
      fragment.inputs.map((input) => {
        const segments = segmentsOf(input, part, this.#produced(input.exchange))
        return [input.exchange, segments.map((segment) => segment.path)]
      }),
    )
    return renderTaskSql(
      taskSql(this.#plan, fragment, part),
      (exchange) => paths.get(exchange) ?? [],
    )
  }

  #produced(read: number): readonly Produced[] {
    const exchange = writtenAs(this.#plan, read)
    return this.#stages.flatMap(({ fragment, written }) => {
      if (fragment.output.kind !== 'exchange' || fragment.output.exchange !== exchange) return []
      return written.flatMap((segments = [], task) =>
        segments.map((segment) => ({ producer: `${fragment.id}/${task}`, segment })),
      )
    })
  }

  /** As the coordinator does it after each stage, but what was measured is not always what is said. */
  #adapt(): void {
    const { adapt, fragments } = this.#plan
    if (adapt === undefined) return
    const done = fragments.slice(0, this.#stages.length)
    const measured = new Map<number, ExchangeSize>()
    for (const exchange of writtenExchanges(this.#plan, done.length)) {
      const size = this.#claims.get(exchange) ?? this.#claim(exchange)
      this.#claims.set(exchange, size)
      measured.set(exchange, size)
    }
    if (measured.size === 0) return
    const next = adapt(measured)
    if (next === undefined) return
    if (++this.#plans > PLANS_MAX) throw new Error('planning again comes to no end')
    this.#options.events.add('planned again')
    this.#plan = { ...next, fragments: [...done, ...next.fragments] }
  }

  #claim(exchange: number): ExchangeSize {
    const { random } = this.#options
    const segments = this.#produced(exchange).map((p) => p.segment)
    const rows = segments.reduce((sum, segment) => sum + segment.rows, 0)
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    if (!random.chance(CLAIM_CHANCE)) return { rows, bytes }
    const factor = random.pick([0, 0.001, 1000, 1e9])
    return { rows: Math.round(rows * factor), bytes: Math.round(bytes * factor) }
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
  to: { readonly fragment: Fragment; readonly path: string },
): Promise<readonly Segment[]> {
  const { output } = to.fragment
  if (output.kind !== 'exchange') return []
  const described = await kernel.runAndReadAll(`DESCRIBE ${sql}`)
  const items = described.getRows().map((row) => {
    const name = `"${String(row[0]).replaceAll('"', '""')}"`
    const type = SEGMENT_TYPES[String(row[1])]
    return type === undefined ? name : `CAST(${name} AS ${type}) AS ${name}`
  })
  const { path } = to
  const isBucketed = output.keys.length > 0
  if (isBucketed)
    items.push(`(hash(${output.keys.join(', ')}) % ${output.buckets})::INTEGER AS __p`)
  const source = `SELECT ${items.join(', ')} FROM (${sql}) AS t`
  const target = isBucketed ? `'${path}'` : `'${path}.parquet'`
  const options = [
    'FORMAT parquet',
    'PARQUET_VERSION v2',
    'COMPRESSION uncompressed',
    'DICTIONARY_SIZE_LIMIT 256',
    'RETURN_STATS',
    ...(isBucketed ? ['PARTITION_BY (__p)'] : []),
  ]
  const reader = await kernel.runAndReadAll(`COPY (${source}) TO ${target} (${options.join(', ')})`)
  const written: Segment[] = []
  for (const [file, rows] of reader.getRows()) {
    if (Number(rows) === 0) continue
    const bucket = Number(/__p=(\d+)\/[^/]+$/.exec(String(file))?.[1] ?? 0)
    // A directory with `=` in its name would become a column.
    const published = `${path}-${written.length}-b${bucket}.parquet`
    await rename(String(file), published)
    const place = { executor: 'e', address: '', host: '', path: published, crc: 0 }
    // Of files so small most is not rows.
    const bytes = Number(rows) * ROW_BYTES
    written.push({ ...place, partition: bucket, rows: Number(rows), bytes })
  }
  return written
}
