import { mkdir, rm } from 'node:fs/promises'
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
import { SegmentFiles, SegmentTables } from './segments.ts'

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
  | 'failed alike'
  | 'a thousand columns'

export interface RunOptions {
  readonly kernel: DuckDBConnection
  readonly directory: string
  /** Where segments are: in files, as executors have them, or in tables, which are cheaper and keep every type. */
  readonly segments: 'files' | 'tables'
  readonly slots: number
  /** Says in what order tasks run, which run twice, and what sizes are claimed. */
  readonly random: Prng
  readonly events: Set<RunEvent>
}

/** Chances of what a cluster may do: report a size that changes the plan, or lose what a task has written. */
const CLAIM_CHANCE = 0.5
const LOSS_CHANCE = 0.15
const ENOUGH_CHANCE = 0.7
/** More often than any query here has exchanges: what has been written is then written again and again. */
const PLANS_MAX = 200

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
  const { kernel } = options
  const name = `run${runs++}`
  if (options.segments === 'tables') {
    await kernel.run(`CREATE SCHEMA ${name}`)
    try {
      return await new PlanRun(plan, new SegmentTables(kernel, name), options).run()
    } finally {
      await kernel.run(`DROP SCHEMA ${name} CASCADE`)
    }
  }
  const directory = join(options.directory, name)
  await mkdir(directory)
  try {
    return await new PlanRun(plan, new SegmentFiles(kernel, directory), options).run()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

class PlanRun {
  readonly #options: RunOptions
  readonly #segments: SegmentFiles | SegmentTables
  readonly #stages: Stage[] = []
  #plan: PhysicalPlan
  /** What was said of the size of each exchange, which does not change any more. */
  readonly #claims = new Map<number, ExchangeSize>()
  #plans = 0

  constructor(plan: PhysicalPlan, segments: SegmentFiles | SegmentTables, options: RunOptions) {
    this.#plan = plan
    this.#segments = segments
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
    const { fragment, parts } = stage
    const part = parts[task]
    if (part === undefined) throw new Error('a task has a part')
    return this.#segments.write(this.#sql(fragment, part), fragment)
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
    for (const segment of lost) await this.#segments.lose(segment)
    stage.written[task] = await this.#runTask(stage, task)
  }

  #sql(fragment: Fragment, part: TaskPart): string {
    const paths = new Map(
      fragment.inputs.map((input) => {
        const segments = segmentsOf(input, part, this.#produced(input.exchange))
        return [input.exchange, segments.map((segment) => segment.path)]
      }),
    )
    const parts = taskSql(this.#plan, fragment, part)
    return this.#segments.readable(renderTaskSql(parts, (exchange) => paths.get(exchange) ?? []))
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
