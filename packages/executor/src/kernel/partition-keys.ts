import type { Connection } from '@duckdb/node-bindings'
import { assert } from '@nyala/client/base'
import { quoteText } from './kernel-instance.ts'
import { readRows } from './read-rows.ts'

/** Names of the columns that divide the rows; they are not written. */
const columnName = (index: number): string => `"__nyala_key_${index}"`
/** Longer keys are no names of directories: theirs is a hash, and they are read back from the file. */
const NAMED_BYTES_MAX = 60

/** The statement with one more column for each key, an expression over its columns; and the names of those. */
export function withKeys(
  sql: string,
  keys: readonly string[],
): { readonly sql: string; readonly columns: readonly string[] } {
  // A key is told from no key by its first letter, so that no text can be taken for NULL.
  const items = keys.map((key, i) => {
    const name =
      `CASE WHEN ${columnName(i)} IS NULL THEN 'n' ` +
      `WHEN octet_length(encode(${columnName(i)})) > ${NAMED_BYTES_MAX} THEN 'h' || md5(${columnName(i)}) ` +
      `ELSE 'v' || ${columnName(i)} END AS ${columnName(i)}`
    return { key: `${key} AS ${columnName(i)}`, name }
  })
  const inner = `SELECT *, ${items.map(({ key }) => key).join(', ')} FROM (${sql}\n)`
  const replaced = items.map(({ name }) => name).join(', ')
  return {
    sql: `SELECT * REPLACE (${replaced}) FROM (${inner})`,
    columns: keys.map((_, i) => columnName(i)),
  }
}

/** The keys of all rows of a file that was written below a directory for each key. */
export async function keysOf(
  path: string,
  keys: readonly string[],
  connection: Connection,
): Promise<readonly (string | null)[]> {
  const found: (string | null)[] = []
  const directories = path.split('/').slice(-1 - keys.length, -1)
  for (const [i, key] of keys.entries()) {
    const name = decodeURIComponent(directories[i] ?? '')
    const at = name.indexOf('=')
    const [kind, value] = [name[at + 1], name.slice(at + 2)]
    assert(at > 0 && (kind === 'n' || kind === 'v' || kind === 'h'), () => `no key in ${path}`)
    found.push(kind === 'n' ? null : kind === 'v' ? value : await keyInFile(path, key, connection))
  }
  return found
}

async function keyInFile(path: string, key: string, connection: Connection): Promise<string> {
  const file = `read_parquet(${quoteText(path)}, hive_partitioning = false)`
  const [[value] = []] = await readRows(connection, `SELECT ${key} FROM ${file} LIMIT 1`)
  assert(typeof value === 'string', () => `the rows of ${path} have a key`)
  return value
}
