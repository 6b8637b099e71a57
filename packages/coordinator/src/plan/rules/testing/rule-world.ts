import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { planOfQuery } from '../../bound-plan/plan-of-query.ts'
import { renderQuery } from '../../../sql/renderer.ts'
import { PlanningWorld, sketchColumns, sketchListing } from '../../../testing/index.ts'
import type { LogicalPlan, Relation } from '../../logical/relation.ts'
import { relationTree } from '../../logical/print.ts'
import { scanMark } from '../../physical-plan.ts'
import type { Scan } from '../../scan.ts'
import { toQuery } from '../../to-sql/to-query.ts'

const COLUMNS = 'a INTEGER, b INTEGER, c BIGINT, s VARCHAR, d DATE, x DOUBLE, n DECIMAL(9,2)'
/** Tables of the same columns, of few values, so that many rows agree, and many NULLs. */
const TABLES = ['t', 'u', 'v', 'w'] as const
const ROWS = 14

/** Texts of queries to logical plans by way of the kernel, and back to texts that are run over a few rows. */
export interface RuleWorld extends AsyncDisposable {
  plan(sql: string): Promise<LogicalPlan>
  /** The scans of the text's plan, by their numbers. */
  scans(sql: string): Promise<ReadonlyMap<number, Scan>>
  /** The rows of a text, each as JSON, sorted; or the words of its error. */
  rows(sql: string): Promise<readonly string[]>
  /** What a plan says as a text over the tables themselves. */
  text(sql: string, plan: LogicalPlan): Promise<string>
}

export async function openRuleWorld(): Promise<RuleWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-rules-'))
  const planning = await PlanningWorld.open(directory)
  for (const name of TABLES) {
    await planning.addTable({
      name,
      listing: sketchListing(`/${name}`, [sketchColumns(COLUMNS)], [{ path: 'f.parquet' }]),
    })
  }
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const kernel = await instance.connect()
  await fill(kernel)
  return {
    async plan(sql) {
      const { query, scans, columns = [] } = await planning.bind(sql)
      const { mirror, functions } = planning
      const plan = await planOfQuery(
        { query, scans, columns },
        { mirror, functions, database: 'default' },
      )
      if (typeof plan === 'string') throw new Error(`${sql} is not read: ${plan}`)
      return plan
    },
    async scans(sql) {
      const { scans } = await planning.bind(sql)
      return new Map(scans.map((scan) => [scan.id, scan]))
    },
    async rows(sql) {
      const reader = await kernel.runAndReadAll(sql)
      return reader
        .getRowsJson()
        .map((row) => JSON.stringify(row))
        .sort()
    },
    async text(sql, plan) {
      const { scans } = await planning.bind(sql)
      const text = renderQuery(toQuery(plan.root, plan.outputs))
      return scans.reduce(
        (before, scan) => before.replaceAll(`"${scanMark(scan.id)}"`, `"${scan.table}"`),
        text,
      )
    },
    async [Symbol.asyncDispose]() {
      await planning[Symbol.asyncDispose]()
      kernel.closeSync()
      instance.closeSync()
      await rm(directory, { recursive: true })
    },
  }
}

/** Each value is NULL in a row of five or so, by a rule of its own for each column and table. */
async function fill(kernel: DuckDBConnection): Promise<void> {
  for (const [i, name] of TABLES.entries()) {
    const value = (factor: number, of: string): string =>
      `CASE WHEN (r * ${factor} + ${i}) % 5 = 0 THEN NULL ELSE ${of} END`
    await kernel.run(`CREATE TABLE ${name} AS SELECT
      CAST(${value(3, `(r * 7 + ${i}) % 4`)} AS INTEGER) AS a,
      CAST(${value(2, `(r * 5 + ${i}) % 3`)} AS INTEGER) AS b,
      CAST(${value(4, `(r + ${i}) % 4`)} AS BIGINT) AS c,
      ${value(1, `chr(CAST(97 + (r + ${i}) % 3 AS INTEGER))`)} AS s,
      ${value(7, `DATE '1995-01-01' + CAST((r * 3 + ${i}) % 6 AS INTEGER)`)} AS d,
      CAST(${value(9, `(r + ${i}) % 3 - 1`)} AS DOUBLE) AS x,
      CAST(${value(8, `(r * 2 + ${i}) % 7`)} AS DECIMAL(9,2)) AS n
      FROM range(${ROWS}) AS rows(r)`)
  }
}

/** The tree of a relation, in the indentation of the tests. */
export const treeLines = (relation: Relation): readonly string[] =>
  relationTree(relation).split('\n')
