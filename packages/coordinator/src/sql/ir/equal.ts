/** Same meaning as written, of nodes or lists of them: everything but the places in the text. Absent equals undefined. */
export function equalIr(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (!isObject(a) || !isObject(b)) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((item, i) => equalIr(item, b[i]))
  }
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  keys.delete('at')
  return [...keys].every((key) => equalIr(a[key], b[key]))
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null
