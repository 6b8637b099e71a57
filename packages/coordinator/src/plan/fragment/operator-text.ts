import { describe } from '../logical/print.ts'
import { inputsOf, type Relation } from '../logical/relation.ts'
import type { Scan } from '../scan.ts'

/** An operator of a fragment for people. */
export interface OperatorText {
  /** 0 for the topmost. */
  readonly depth: number
  readonly text: string
  /** Rows that are expected of it, all tasks together. */
  readonly rows: number
}

/** The operators of a fragment, each above what it reads. */
export function operatorTexts(
  relation: Relation,
  by: {
    readonly scans: ReadonlyMap<number, Scan>
    /** The scans that are divided among the tasks. */
    readonly divided: readonly number[]
    readonly rows: (relation: Relation) => number
    /** The number that an exchange has in the plan. */
    readonly exchange: (id: number) => number | undefined
  },
): readonly OperatorText[] {
  const visit = (part: Relation, depth: number): readonly OperatorText[] => {
    // Columns that are only passed on or left out are seen by what reads them.
    if (part.kind === 'project' && part.items.every(isPlain)) return visit(part.input, depth)
    return [
      { depth, text: textOf(part), rows: Math.round(by.rows(part)) },
      ...inputsOf(part).flatMap((input) => visit(input, depth + 1)),
    ]
  }
  const textOf = (part: Relation): string => {
    if (part.kind === 'scan') {
      const alias = by.scans.get(part.scan)?.alias ?? `${part.scan}`
      const how = by.divided.includes(part.scan) ? 'divided scan' : 'scan'
      return describe(part).replace(`scan ${part.scan}`, `${how} ${alias}`)
    }
    if (part.kind !== 'exchange') return describe(part)
    const number = by.exchange(part.exchange) ?? part.exchange
    return describe(part).replace(`exchange ${part.exchange}`, `exchange_${number}`)
  }
  return visit(relation, 0)
}

const isPlain = (item: {
  readonly column: { readonly name: string }
  readonly expression: { readonly kind: string; readonly path?: readonly string[] }
}): boolean => item.expression.kind === 'column' && item.expression.path?.[0] === item.column.name
