import { SqlError } from '@nyala/client/protocol'
import { canon, looselyEqual } from './canon.ts'
import type { Query } from './ir.ts'
import { renderQuery } from './renderer.ts'

/**
 * The proof that a tree means what the text said: the tree is rendered, parsed again, and compared with
 * the parse of the text. It covers the reader and the renderer in one check and runs for every query.
 * Throws `internal_error`: a mismatch is a defect of this program, and the query is not run.
 */
export async function guardQuery(
  query: Query,
  serializedSource: string,
  serialize: (sql: string) => Promise<string>,
): Promise<string> {
  const sql = renderQuery(query)
  const rendered = canon(await serialize(sql))
  const source = canon(serializedSource)
  if (rendered === source || sameTree(rendered, source)) return sql
  throw new SqlError(
    'internal_error',
    'the query was refused: its plan tree does not match its text',
    {
      detail: `${firstDifference(source, rendered)}\nread as: ${sql}`,
      hint: 'please report the query; writing the part named in the detail another way may help',
    },
  )
}

function sameTree(rendered: string, source: string): boolean {
  // A text that cannot even be parsed has no tree to compare.
  return rendered.startsWith('{"error":false') && looselyEqual(rendered, source)
}

/** The first place where the two differ, with some of each. */
function firstDifference(source: string, rendered: string): string {
  let at = 0
  while (at < source.length && source[at] === rendered[at]) at += 1
  const from = Math.max(0, at - 60)
  return `text: …${source.slice(from, at + 120)}…\ntree: …${rendered.slice(from, at + 120)}…`
}
