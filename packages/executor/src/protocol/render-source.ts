import type { Column } from '@nyala/client/protocol'
import type { SqlPart } from './fragment.ts'

const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
const quoteLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Types that a segment holds as another one, because Parquet would not give them back; they are cast when read. */
const CAST_BACK =
  /^(HUGEINT|UHUGEINT|TIME WITH TIME ZONE|TIMETZ|BIT|BIGNUM|TIMESTAMP_S|TIMESTAMP_MS|ENUM\(|UNION\()/i

/** The task's statement once the paths of each exchange's segments are known. */
export function renderTaskSql(
  parts: readonly SqlPart[],
  pathsOf: (exchange: number) => readonly string[],
): string {
  return parts
    .map((part) => {
      if (part.kind === 'text') return part.text
      return renderExchange(part.columns, pathsOf(part.exchange))
    })
    .join('')
}

function renderExchange(columns: readonly Column[], paths: readonly string[]): string {
  if (paths.length === 0) {
    const empty = columns.map((c) => `CAST(NULL AS ${c.type}) AS ${quoteIdentifier(c.name)}`)
    return `(SELECT ${empty.join(', ')} WHERE false)`
  }
  // A directory with `=` in its name must not become a column.
  const source = `read_parquet([${paths.map(quoteLiteral).join(', ')}], hive_partitioning = false)`
  if (!columns.some((column) => CAST_BACK.test(column.type))) return `(SELECT * FROM ${source})`
  return `(SELECT ${columns.map(renderColumn).join(', ')} FROM ${source})`
}

function renderColumn({ name, type }: Column): string {
  const quoted = quoteIdentifier(name)
  return CAST_BACK.test(type) ? `CAST(${quoted} AS ${type}) AS ${quoted}` : quoted
}
