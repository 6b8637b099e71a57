import type { DuckDBConnection } from '@duckdb/node-api'
import type { Clock } from '@nyala/client/base'
import { cpuSeconds } from './processes.ts'

/** What one run took. */
export interface Timing {
  readonly wallMs: number
  /** Of the processes that were watched, together. The system counts it in steps of 10 ms for each. */
  readonly cpuMs: number
}

export async function timed(
  clock: Clock,
  pids: readonly number[],
  action: () => Promise<unknown>,
): Promise<Timing> {
  const cpu = cpuSeconds(pids)
  const started = clock.now()
  await action()
  return { wallMs: clock.now() - started, cpuMs: (cpuSeconds(pids) - cpu) * 1000 }
}

/** A query in DuckDB alone, its rows as JavaScript values. */
export async function runAlone(kernel: DuckDBConnection, sql: string): Promise<void> {
  const reader = await kernel.runAndReadAll(sql)
  reader.getRows()
}

/** Rows of DuckDB as texts that can be compared with those of {@link clientRows}, in no order. */
export async function kernelRows(
  kernel: DuckDBConnection,
  sql: string,
): Promise<readonly string[]> {
  const reader = await kernel.runAndReadAll(sql)
  return reader.getRowsJson().map(rowText).toSorted()
}

/** Rows of the client, as they are with dates and whole numbers as texts. */
export const clientRows = (rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] =>
  rows.map((row) => rowText(Object.values(row))).toSorted()

const rowText = (values: readonly unknown[]): string => values.map(valueText).join(' | ')

const DIGITS = 9

/** Numbers with the digits that do not depend on the order in which they were added up. */
function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'bigint') return value.toString()
  const text = String(value as string | number)
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return text
  if (/^-?\d+$/.test(text)) return text
  return String(Number(Number(text).toPrecision(DIGITS)))
}

/** The mean of ratios. */
export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / Math.max(1, values.length))

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
