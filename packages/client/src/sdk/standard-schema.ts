import { SqlError } from '../protocol/errors.ts'

/** The part of the Standard Schema specification (v1) that is used here; structural, so no library is needed. */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Every row as the schema gives it back. Rejects with `schema_mismatch` naming the first row that does not fit. */
export async function validated<R>(
  schema: StandardSchema<R>,
  rows: readonly unknown[],
): Promise<R[]> {
  const checked: R[] = []
  for (const [i, row] of rows.entries()) {
    const answer = schema['~standard'].validate(row)
    const result = answer instanceof Promise ? await answer : answer
    if (result.issues !== undefined) throw mismatch(i, result.issues)
    checked.push(result.value)
  }
  return checked
}

function mismatch(row: number, issues: readonly StandardIssue[]): SqlError {
  const [first] = issues
  const path = (first?.path ?? [])
    .map((part) => String(typeof part === 'object' ? part.key : part))
    .join('.')
  const where = path === '' ? '' : ` at "${path}"`
  return new SqlError(
    'schema_mismatch',
    `row ${row + 1} does not fit the schema${where}: ${first?.message ?? 'refused'}`,
    { detail: `${issues.length} issue${issues.length === 1 ? '' : 's'} in this row` },
  )
}
