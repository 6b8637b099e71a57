import type { SqlPart } from './fragment.ts'

const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
const quoteLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** The task's statement once the paths of each exchange's segments are known. */
export function renderTaskSql(
  parts: readonly SqlPart[],
  pathsOf: (exchange: number) => readonly string[],
): string {
  return parts
    .map((part) => {
      if (part.kind === 'text') return part.text
      const paths = pathsOf(part.exchange)
      if (paths.length > 0) {
        return `(SELECT * FROM read_parquet([${paths.map(quoteLiteral).join(', ')}]))`
      }
      const columns = part.columns.map(
        (c) => `CAST(NULL AS ${c.type}) AS ${quoteIdentifier(c.name)}`,
      )
      return `(SELECT ${columns.join(', ')} WHERE false)`
    })
    .join('')
}
