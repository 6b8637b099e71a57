/**
 * Walks over any part of a query's tree. Every node is a plain immutable record with a `kind`, and its children are
 * found by looking, so a new kind of node needs no change here; what a rule does with a kind it does not know is the
 * rule's to decide.
 */
interface TreeNode {
  readonly kind: string
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isNode = (value: unknown): value is TreeNode =>
  isRecord(value) && typeof value['kind'] === 'string'

/**
 * A copy of `value` in which each node that `replace` gives another value for is exchanged, outermost first; what is
 * put in is not walked again. Parts without a change are shared with the original.
 */
export function mapTree<T>(value: T, replace: (node: TreeNode) => unknown): T {
  if (isNode(value)) {
    const other = replace(value)
    if (other !== undefined) return other as T
  }
  return mapChildren(value, (child) => mapTree(child, replace))
}

/** A copy of `value` with `change` applied to each of its fields or elements. */
export function mapChildren<T>(value: T, change: (child: unknown) => unknown): T {
  if (Array.isArray(value)) {
    const mapped = value.map((element: unknown) => change(element))
    return (mapped.some((element, i) => element !== value[i]) ? mapped : value) as T
  }
  if (!isRecord(value)) return value
  let copy: Record<string, unknown> | undefined
  for (const [key, child] of Object.entries(value)) {
    if (typeof child !== 'object' || child === null) continue
    const mapped = change(child)
    if (mapped === child) continue
    copy ??= { ...value }
    copy[key] = mapped
  }
  return (copy ?? value) as T
}

/** Calls `visit` for each node below and including `value`; where it returns false, not for those below. */
export function visitTree(value: unknown, visit: (node: TreeNode) => boolean | undefined): void {
  if (isNode(value) && visit(value) === false) return
  if (Array.isArray(value)) for (const element of value) visitTree(element, visit)
  else if (isRecord(value)) {
    for (const child of Object.values(value)) {
      if (typeof child === 'object' && child !== null) visitTree(child, visit)
    }
  }
}

/** True when some node below or at `value` has the property. */
export function someNode(value: unknown, test: (node: TreeNode) => boolean): boolean {
  let found = false
  visitTree(value, (node) => {
    found ||= test(node)
    return !found
  })
  return found
}
