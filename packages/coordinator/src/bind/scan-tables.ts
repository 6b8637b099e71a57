import { mapTree } from '../sql/ir/tree.ts'
import type { BaseTable, Query } from '../sql/ir.ts'
import { quoteIdentifier } from '../sql/escape.ts'
import { scanId } from '../plan/physical-plan.ts'
import { type Scan, scanColumns } from '../plan/scan.ts'

/** The schema of the mirror where tables stand for scans. */
export const SCAN_SCHEMA = '$scans'
/** Tables kept; a query that needs others makes room by dropping those not used for longest. */
const TABLES_MAX = 2_000

export interface ScanTable {
  readonly scan: number
  /** Names of the table's columns, in order. */
  readonly columns: readonly string[]
}

/**
 * Empty tables that stand for scans in the plans that the kernel makes of queries. Tables of the same columns are alike,
 * so they are shared between relations and queries; within a query each scan has one of its own, whose name says which
 * scan it is.
 */
export class ScanTables {
  /** Names of tables by what they are made of and the how-manieth such of a query they are. */
  readonly #names = new Map<string, string>()
  #made = 0

  /**
   * The tables for the scans of one query by name, made where there are none. `run` runs a statement; fails as that does.
   */
  async ensure(
    scans: readonly Scan[],
    run: (sql: string) => Promise<unknown>,
  ): Promise<ReadonlyMap<string, ScanTable>> {
    const found = new Map<string, ScanTable>()
    const uses = new Map<string, number>()
    for (const scan of scans) {
      const columns = scanColumns(scan)
      const definition = columns.map((c) => `${quoteIdentifier(c.name)} ${c.type}`).join(', ')
      const use = uses.get(definition) ?? 0
      uses.set(definition, use + 1)
      const key = `${use} ${definition}`
      const name = this.#names.get(key) ?? `scan_${this.#made++}`
      if (!this.#names.delete(key)) await run(`CREATE TABLE ${tableName(name)} (${definition})`)
      // The last in the map is the one that was used last.
      this.#names.set(key, name)
      found.set(name, { scan: scan.id, columns: columns.map((c) => c.name) })
    }
    await this.#dropOldest(found, run)
    return found
  }

  async #dropOldest(
    inUse: ReadonlyMap<string, ScanTable>,
    run: (sql: string) => Promise<unknown>,
  ): Promise<void> {
    while (this.#names.size > TABLES_MAX) {
      const oldest = this.#names.entries().next()
      if (oldest.done === true || inUse.has(oldest.value[1])) return
      const [key, name] = oldest.value
      this.#names.delete(key)
      await run(`DROP TABLE ${tableName(name)}`)
    }
  }
}

const tableName = (name: string): string =>
  `${quoteIdentifier(SCAN_SCHEMA)}.${quoteIdentifier(name)}`

/** The query with these tables in the place of its scans. */
export function overScanTables(query: Query, tables: ReadonlyMap<string, ScanTable>): Query {
  const names = new Map([...tables].map(([name, { scan }]) => [scan, name]))
  return mapTree(query, (node) => {
    const id = node.kind === 'table' ? scanId(node as BaseTable) : undefined
    const name = id === undefined ? undefined : names.get(id)
    if (name === undefined) return undefined
    return { ...(node as BaseTable), schema: SCAN_SCHEMA, table: name }
  })
}
