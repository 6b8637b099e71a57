import type { Dialect } from '../dialect.ts'
import { skipToken } from '../split-statements.ts'

/** A text with `:name` replaced by the variable of that name, outside strings, quoted names and comments. */
export function interpolate(
  text: string,
  variables: ReadonlyMap<string, string>,
  dialect: Dialect,
): string {
  if (variables.size === 0) return text
  let result = ''
  let at = 0
  while (at < text.length) {
    const name = text[at] === ':' && text[at - 1] !== ':' ? nameAt(text, at + 1) : undefined
    const value = name === undefined ? undefined : variables.get(name)
    if (name !== undefined && value !== undefined) {
      result += value
      at += 1 + name.length
    } else {
      const { end } = skipToken(text, at, dialect)
      result += text.slice(at, end)
      at = end
    }
  }
  return result
}

const nameAt = (text: string, at: number): string | undefined =>
  /^[A-Za-z_]\w*/.exec(text.slice(at, at + 64))?.[0]
