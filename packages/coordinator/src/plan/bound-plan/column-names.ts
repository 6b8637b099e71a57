import { foldName } from '@nyala/metastore'
import type { PlanColumn } from '../logical/relation.ts'
import type { SqlType } from '../../sql/sql-types.ts'

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Longer names are texts of expressions rather than names. */
const NAME_LENGTH_MAX = 60

/** Gives every column of a plan a name of its own, the one that the user knows where that is a plain word. */
export class ColumnNames {
  readonly #taken = new Map<string, number>()
  /** Names with a number, and what they were before it. */
  readonly #bases = new Map<string, string>()

  /** `fallback` is used where `wanted` is no plain word. */
  column(wanted: string, fallback: string, type: SqlType): PlanColumn {
    const isPlain = IDENTIFIER.test(wanted) && wanted.length <= NAME_LENGTH_MAX
    const base = isPlain ? wanted : fallback
    return { name: this.#unique(this.#bases.get(base) ?? base), type }
  }

  #unique(base: string): string {
    const key = foldName(base)
    let n = this.#taken.get(key)
    if (n === undefined) {
      this.#taken.set(key, 1)
      return base
    }
    let name: string
    do {
      n++
      name = `${base}_${n}`
    } while (this.#taken.has(foldName(name)))
    this.#taken.set(key, n)
    this.#taken.set(foldName(name), 1)
    this.#bases.set(name, base)
    return name
  }
}
