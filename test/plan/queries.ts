import { readFile } from 'node:fs/promises'

export interface NamedQuery {
  readonly name: string
  readonly sql: string
}

/** What is written by hand lies with the sources, above what is compiled of them. */
export const PLAN_DIRECTORY = new URL('../../plan/', import.meta.url)

/** The queries of a file in `queries`: each after a line `-- name: …`, up to an empty line. */
export async function readQueries(file: string): Promise<readonly NamedQuery[]> {
  const text = await readFile(new URL(`queries/${file}`, PLAN_DIRECTORY), 'utf8')
  return text.split(/^-- name: /m).flatMap((part): readonly NamedQuery[] => {
    const [name = '', ...lines] = part.trim().split('\n')
    return name === '' ? [] : [{ name, sql: lines.join('\n') }]
  })
}
