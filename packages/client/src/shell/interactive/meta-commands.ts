/** A backslash command as people see it in `\?`. */
export interface MetaCommand {
  readonly name: string
  readonly argument: string
  readonly help: string
}

export const META_COMMANDS = [
  { name: '\\?', argument: '', help: 'this list' },
  { name: '\\q', argument: '', help: 'quit; so do exit; quit; and Ctrl-D' },
  { name: '\\d', argument: '[TABLE]', help: 'tables, or the columns of a table' },
  { name: '\\dt', argument: '[PATTERN]', help: 'tables' },
  { name: '\\dv', argument: '[PATTERN]', help: 'views' },
  { name: '\\df', argument: '[PATTERN]', help: 'functions' },
  { name: '\\dn', argument: '', help: 'databases' },
  { name: '\\l', argument: '', help: 'databases' },
  { name: '\\c', argument: '[DATABASE|URL]', help: 'use a database, or connect elsewhere' },
  { name: '\\x', argument: '[on|off]', help: 'one line a value, for wide rows' },
  { name: '\\pset', argument: '[format NAME]', help: 'show or set the format of results' },
  { name: '\\timing', argument: '[on|off]', help: 'show how long each statement takes' },
  { name: '\\o', argument: '[FILE]', help: 'results into a file, or back to the screen' },
  { name: '\\i', argument: 'FILE', help: 'run the statements of a file' },
  {
    name: '\\copy',
    argument: 'T from FILE',
    help: 'rows of a file of this machine into a table; options: [csv|json|jsonl|parquet] [header]',
  },
  {
    name: '\\copy',
    argument: '(Q) to FILE',
    help: 'rows of a query, or of a table, into a file; the ending of its name may say what it is',
  },
  { name: '\\e', argument: '[FILE]', help: 'edit the statement with $EDITOR' },
  { name: '\\g', argument: '', help: 'run the statement, or the last one again' },
  { name: '\\gx', argument: '', help: 'as \\g, one line a value' },
  { name: '\\watch', argument: '[SECONDS]', help: 'run the last statement again and again' },
  { name: '\\p', argument: '', help: 'show the statement so far' },
  { name: '\\r', argument: '', help: 'forget the statement so far' },
  { name: '\\set', argument: '[NAME [VALUE]]', help: 'variables, put in for :NAME in statements' },
  { name: '\\unset', argument: 'NAME', help: 'forget a variable' },
  { name: '\\nodes', argument: '', help: 'members of the cluster' },
  { name: '\\leader', argument: '', help: 'the leader and its epoch' },
  { name: '\\queries', argument: '', help: 'queries that run' },
  { name: '\\kill', argument: 'ID', help: 'cancel a query' },
] as const satisfies readonly MetaCommand[]

export type MetaName = (typeof META_COMMANDS)[number]['name']

export interface MetaCall {
  readonly name: MetaName
  /** The words behind the name; one in quotes is one word. */
  readonly words: readonly string[]
  /** All of the line. */
  readonly line: string
}

/** A line that begins with a backslash, or what is wrong with it. */
export function parseMeta(line: string): MetaCall | string {
  const [head = '', ...words] = splitWords(line.trim().replace(/;$/, ''))
  const known = META_COMMANDS.find(({ name }) => name === head)
  if (known !== undefined) return { name: known.name, words, line }
  return `${head} is not a command; \\? lists them`
}

function splitWords(text: string): string[] {
  const words = text.match(/(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|\S)+?(?=\s|$)/g) ?? []
  return words.map((word) =>
    word.startsWith("'") && word.length > 1 ? word.slice(1, -1).replaceAll("''", "'") : word,
  )
}

/** Where the explanations begin. */
const HELP_COLUMN = 24

export function metaHelp(): string {
  const lines = META_COMMANDS.map(
    ({ name, argument, help }) => `  ${`${name} ${argument}`.padEnd(HELP_COLUMN)}${help}\n`,
  )
  return `${lines.join('')}
  profile;                what each operator of the last query did, as JSON
  summary;                what each task of the last query did
  connect HOST:PORT;      connect elsewhere
  history;                the lines typed so far
  exit;  quit;            quit

Of several statements on a line each runs, also after one that failed; Ctrl-C drops those that have not run.
`
}

/** What Impala's shell calls by a word and a semicolon. */
export type WordCommand =
  | { readonly name: 'profile' | 'summary' | 'history' | 'quit' | 'help' }
  | { readonly name: 'connect'; readonly target: string }

const WORDS: Readonly<Record<string, WordCommand>> = {
  profile: { name: 'profile' },
  summary: { name: 'summary' },
  history: { name: 'history' },
  exit: { name: 'quit' },
  quit: { name: 'quit' },
  help: { name: 'help' },
}

/** The word command that a line is; those without an argument may do without the semicolon. */
export function parseWordCommand(line: string): WordCommand | undefined {
  const text = line.trim().replace(/\s*;$/, '')
  const word = text.toLowerCase()
  if (Object.hasOwn(WORDS, word)) return WORDS[word]
  const target = /^connect\s+(\S+)$/i.exec(text)?.[1]
  return target === undefined ? undefined : { name: 'connect', target }
}
