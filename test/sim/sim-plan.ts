import type { Prng } from '@nyala/client/base'
import type { Fragment, PhysicalPlan } from '@nyala/coordinator/testing'
import { FILE_ROWS, SMALL_FROM_FILE } from './sim-kernel.ts'

export interface SimPlan {
  readonly physical: PhysicalPlan
  /** All rows of the result, ascending. */
  readonly rows: readonly number[]
  readonly isInOrder: boolean
}

type Scan = PhysicalPlan['scans'] extends ReadonlyMap<number, infer S> ? S : never

export const FILES_MAX = SMALL_FROM_FILE
const COLUMNS = [{ name: 'n', type: 'BIGINT' }]

/**
 * A query that gives every row of some files: in one stage, over one exchange, or over two. `first`: of the files, whose rows
 * no query over others gives.
 */
export function simPlan(prng: Prng, first = 0): SimPlan {
  const files = 1 + prng.below(FILES_MAX)
  const stages = prng.pick([1, 2, 2, 3])
  const buckets = 2 + prng.below(2)
  const scan = scanOf(first, files)
  const fragments: Fragment[] = []
  for (let id = 0; id < stages; id++) {
    const isLast = id === stages - 1
    const from = { kind: 'text' as const, text: 'SELECT * FROM ' }
    const source =
      id === 0
        ? { kind: 'scan' as const, scan: 0 }
        : { kind: 'exchange' as const, exchange: id - 1 }
    const parts = [from, source]
    fragments.push({
      id,
      parts,
      readable: () => parts,
      output: isLast
        ? { kind: 'result' }
        : { kind: 'exchange', exchange: id, keys: ['n'], buckets },
      inputs: id === 0 ? [] : [{ exchange: id - 1, use: prng.pick(['buckets', 'divided']) }],
      scans: [],
      ...(id === 0
        ? {
            divided: [{ scan: 0, groups: scan.files.map((file) => [{ file, bytes: file.bytes }]) }],
          }
        : {}),
      repeatable: true,
    })
  }
  const exchanges = new Map(
    fragments.slice(0, -1).map(({ id }) => [id, { id, columns: COLUMNS }] as const),
  )
  return {
    physical: { fragments, exchanges, scans: new Map([[0, scan]]), reason: 'simulated' },
    rows: Array.from({ length: files * FILE_ROWS }, (_, i) => first * FILE_ROWS + i),
    isInOrder: false,
  }
}

function scanOf(first: number, files: number): Scan {
  return {
    id: 0,
    database: 'd',
    table: 't',
    alias: 't',
    location: '/t',
    columns: COLUMNS,
    partitionColumns: [],
    schemas: [COLUMNS.map((column) => ({ ...column }))],
    files: Array.from({ length: files }, (_, i) => ({
      path: `f${first + i}.parquet`,
      bytes: 1000,
      rows: FILE_ROWS,
      rowGroups: [],
      modifiedMs: 0,
      schema: 0,
      partition: 0,
    })),
    filesTotal: files,
    partitionsTotal: 0,
    partitionsLeft: 0,
  }
}
