import type { Expression, Query, TableRef } from '../ir.ts'

export type IrNode = Expression | Query | TableRef

/** Same meaning as written: everything but the places in the text. Absent fields equal undefined ones. */
export const equalIr = (a: IrNode, b: IrNode): boolean => equalValues(a, b)

function equalValues(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (!isObject(a) || !isObject(b)) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((item, i) => equalValues(item, b[i]))
  }
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  keys.delete('at')
  return [...keys].every((key) => equalValues(a[key], b[key]))
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** A text that is the same for equal nodes and different for others: a key for maps. */
export const irKey = (node: IrNode): string => JSON.stringify(sorted(node))

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isObject(value)) return value
  const keys = Object.keys(value).filter((key) => key !== 'at' && value[key] !== undefined)
  return Object.fromEntries(keys.toSorted().map((key) => [key, sorted(value[key])]))
}
