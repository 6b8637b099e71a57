const NAMED = /^ AS ("(?:[^"]|"")+"|[A-Za-z_]\w*)/

/**
 * Which of the columns of a statement's rows has the expression at an offset of bytes in it, as the kernel tells of a cast
 * that failed: the next one that is named behind it, in its own list or in one around it. Undefined where none is, as for
 * the columns of an inner query. Pure.
 */
export function columnAt(
  sql: string,
  offset: number,
  columns: ReadonlySet<string>,
): string | undefined {
  const text = Buffer.from(sql).subarray(offset).toString()
  let quote = ''
  let [depth, least] = [0, 0]
  // Behind a FROM tables are named.
  let isBehindList = false
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at)
    if (quote !== '') {
      // One that is doubled closes the text and opens it again.
      if (char === quote) quote = ''
    } else if (char === "'" || char === '"') quote = char
    else if (char === '(') depth++
    else if (char === ')') {
      depth--
      if (depth < least) [least, isBehindList] = [depth, false]
    } else if (depth === least && char === ' ' && !isBehindList) {
      const rest = text.slice(at, at + LONGEST)
      const [, name = ''] = NAMED.exec(rest) ?? []
      if (columns.has(unquoted(name))) return unquoted(name)
      isBehindList = rest.startsWith(' FROM ')
    }
  }
  return undefined
}

/** Characters that the name of a column is looked for in. */
const LONGEST = 300

const unquoted = (name: string): string =>
  name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
