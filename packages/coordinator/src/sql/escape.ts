/** The one place where names and texts become SQL: everything the kernel is sent passes through here. */

/** `a"b` becomes `"a""b"`. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** `it's` becomes `'it''s'`; no other character is special in a plain string of DuckDB. */
export const quoteLiteral = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** `["a", "b"]` becomes `"a"."b"`. */
export const quotePath = (path: readonly string[]): string => path.map(quoteIdentifier).join('.')
