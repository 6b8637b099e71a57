/** How a session reads text: in `impala` `"x"` is a string, and strings know backslashes. */
export type Dialect = 'ansi' | 'impala'

/** The dialect that these settings of a session say; whoever set them may have written them in any case. */
export function dialectOf(settings: Readonly<Record<string, string>>): Dialect {
  const values = Object.entries(settings)
    .filter(([name]) => name.toLowerCase() === 'sql_dialect')
    .map(([, value]) => value.trim().toLowerCase())
  return values.at(-1) === 'impala' ? 'impala' : 'ansi'
}

/** A name in the one kind of quotes that is a name's in every dialect. */
export const quotedName = (name: string): string => `\`${name.replaceAll('`', '``')}\``

/** A text as a literal of the dialect. */
export function quotedText(text: string, dialect: Dialect): string {
  const escaped = dialect === 'impala' ? text.replaceAll('\\', '\\\\') : text
  return `'${escaped.replaceAll("'", "''")}'`
}
