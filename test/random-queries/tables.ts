import type { Prng } from '@nyala/client/base'
import type { ColumnRecord } from '@nyala/metastore'

/** What an expression of the generator can do with a value. */
export type Kind =
  'int' | 'big' | 'decimal' | 'wide' | 'double' | 'text' | 'date' | 'timestamp' | 'bool'

/** `list` is one of INTEGER, `struct` has an INTEGER `a` and a text `b`; `other` is only carried about. */
export type ItemKind = Kind | 'list' | 'struct' | 'other'

export interface GeneratedColumn {
  readonly name: string
  readonly kind: ItemKind
  /** As DuckDB prints it. */
  readonly type: string
  value(random: Prng, row: number): string
}

export interface GeneratedTable {
  readonly name: string
  readonly columns: readonly GeneratedColumn[]
  readonly partitionColumns: readonly GeneratedColumn[]
  /** Rows of each file; none where the table is an empty directory. */
  readonly files: readonly FileShape[]
}

/** A file: rows of its row groups, and how its columns differ from the table's. */
export interface FileShape {
  readonly rowGroups: readonly number[]
  /** The select list that writes it; absent where it is the table's own. */
  readonly drift?: string | undefined
  /** Columns that the file does not have, and which therefore are NULL in these rows. */
  readonly missing?: readonly string[] | undefined
}

const NULL_CHANCE = 0.1

const orNull = (random: Prng, value: () => string): string =>
  random.chance(NULL_CHANCE) ? 'NULL' : value()

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

const NAMES = [
  'ann',
  'Bob',
  '',
  "o'hara",
  'zoë',
  'ann',
  'a_b',
  '100%',
  'Ann',
  ' pad',
  'same',
  '"q"',
]
const WORDS = ['x', 'y', 'long enough to be out of line', 'z z', 'x']
const DOUBLES = ['0.0', '-0.0', "'NaN'::DOUBLE", "'inf'::DOUBLE", "'-inf'::DOUBLE"]

type Value = GeneratedColumn['value']

/** A join key: one value is far more common than all others. */
const skewed =
  (domain: number): Value =>
  (random) =>
    orNull(random, () => String(random.chance(0.15) ? 1 : random.below(domain)))

const below =
  (domain: number): Value =>
  (random) =>
    orNull(random, () => String(random.below(domain)))

const rowNumber: Value = (_random, row) => String(row)

/** Near both ends of BIGINT, where a sum needs more bits and a DOUBLE would lose digits. */
const huge: Value = (random) =>
  orNull(random, () => {
    const offset = BigInt(random.below(1000))
    return String(random.chance(0.5) ? 2n ** 63n - 1n - offset : -(2n ** 63n) + 1n + offset)
  })

const decimal =
  (scale: number): Value =>
  (random) =>
    orNull(random, () => ((random.below(200_000) - 100_000) / 10 ** scale).toFixed(scale))

/** Sums of quarters are exact in any order, so that two ways to add them up can be compared. */
const double: Value = (random) =>
  orNull(random, () =>
    random.chance(0.08)
      ? random.pick(DOUBLES)
      : `${((random.below(4000) - 2000) / 4).toFixed(2)}::DOUBLE`,
  )

const date: Value = (random) =>
  orNull(random, () => `DATE '2020-01-01' + ${random.below(random.chance(0.9) ? 40 : 4000)}`)

const timestamp: Value = (random) =>
  orNull(
    random,
    () => `TIMESTAMP '2020-01-01 00:00:00' + INTERVAL (${random.below(5_000_000)}) SECOND`,
  )

const text =
  (values: readonly string[]): Value =>
  (random) =>
    orNull(random, () => quote(random.pick(values)))

/** Most rows have one key, many none. */
const heavy =
  (domain: number): Value =>
  (random) => {
    const roll = random.next()
    return roll < 0.6 ? '1' : roll < 0.8 ? 'NULL' : String(random.below(domain))
  }

const never: Value = () => 'NULL'

const SPECIAL = [
  "''",
  "'日本語 ß ñ'",
  "repeat('long ', 4000)",
  "'ann'",
  "'e\u0301'",
  "'🦌🦌'",
  "' '",
  "'NULL'",
]

/** Empty, very long, and of more bytes than letters. */
const anyText: Value = (random) => orNull(random, () => random.pick(SPECIAL))

/** As many of the numbers that are none as of others. */
const strange: Value = (random) =>
  orNull(random, () =>
    random.chance(0.5)
      ? random.pick(DOUBLES)
      : `${((random.below(40) - 20) / 4).toFixed(2)}::DOUBLE`,
  )

const list: Value = (random) =>
  orNull(random, () => {
    const items = Array.from({ length: random.below(4) }, () =>
      orNull(random, () => `${random.below(4)}`),
    )
    return `CAST([${items.join(', ')}] AS INTEGER[])`
  })

const struct: Value = (random) =>
  orNull(
    random,
    () => `{'a': ${orNull(random, () => `${random.below(4)}`)}, 'b': ${anyText(random, 0)}}`,
  )

const map: Value = (random) =>
  orNull(random, () => (random.chance(0.3) ? 'MAP {}' : `MAP {'x': ${random.below(3)}, 'y': NULL}`))

const bool: Value = (random) => orNull(random, () => (random.chance(0.5) ? 'true' : 'false'))

const column = (name: string, kind: ItemKind, type: string, value: Value): GeneratedColumn => ({
  name,
  kind,
  type,
  value,
})

export const TABLES: readonly GeneratedTable[] = [
  {
    name: 'events',
    columns: [
      column('id', 'int', 'BIGINT', rowNumber),
      column('k', 'int', 'INTEGER', skewed(40)),
      column('g', 'int', 'SMALLINT', below(6)),
      column('big', 'big', 'BIGINT', huge),
      column('amount', 'decimal', 'DECIMAL(12,2)', decimal(2)),
      column('ratio', 'double', 'DOUBLE', double),
      column('day', 'date', 'DATE', date),
      column('moment', 'timestamp', 'TIMESTAMP', timestamp),
      column('name', 'text', 'VARCHAR', text(NAMES)),
      column('ok', 'bool', 'BOOLEAN', bool),
    ],
    partitionColumns: [],
    files: [{ rowGroups: [40, 40, 20] }, { rowGroups: [60] }, { rowGroups: [30, 30, 30, 30] }],
  },
  {
    name: 'people',
    columns: [
      column('id', 'int', 'INTEGER', rowNumber),
      column('k', 'int', 'INTEGER', skewed(40)),
      column('g', 'int', 'SMALLINT', below(6)),
      column('name', 'text', 'VARCHAR', text(NAMES)),
      column('since', 'date', 'DATE', date),
      column('score', 'double', 'FLOAT', double),
      column('rich', 'wide', 'DECIMAL(38,6)', decimal(6)),
    ],
    partitionColumns: [],
    files: [{ rowGroups: [50] }],
  },
  {
    name: 'sales',
    columns: [
      column('id', 'int', 'BIGINT', rowNumber),
      column('k', 'int', 'INTEGER', skewed(40)),
      column('amount', 'decimal', 'DECIMAL(10,2)', decimal(2)),
      column('note', 'text', 'VARCHAR', text(WORDS)),
    ],
    partitionColumns: [
      column('region', 'text', 'VARCHAR', text(['north', 'south, west', 'ümlaut', 'a=b/c%', '7'])),
      column('y', 'int', 'INTEGER', (random) =>
        orNull(random, () => String(2020 + random.below(3))),
      ),
    ],
    files: [{ rowGroups: [120] }],
  },
  {
    name: 'drift',
    columns: [
      column('id', 'int', 'BIGINT', rowNumber),
      column('k', 'int', 'BIGINT', skewed(40)),
      column('amount', 'decimal', 'DECIMAL(12,2)', decimal(2)),
      column('extra', 'text', 'VARCHAR', text(WORDS)),
      column('Mixed', 'bool', 'BOOLEAN', bool),
    ],
    partitionColumns: [],
    files: [
      { rowGroups: [20, 20], drift: 'id, k, amount, "Mixed"', missing: ['extra'] },
      {
        rowGroups: [30],
        drift:
          'extra AS "EXTRA", CAST(k AS SMALLINT) AS K, CAST(amount AS DECIMAL(9,1)) AS Amount, id, 7 AS more',
        missing: ['Mixed'],
      },
      { rowGroups: [10, 10] },
    ],
  },
  {
    name: 'nothing',
    columns: [
      column('k', 'int', 'INTEGER', skewed(40)),
      column('name', 'text', 'VARCHAR', text(NAMES)),
    ],
    partitionColumns: [],
    files: [],
  },
  {
    name: 'hollow',
    columns: [column('k', 'int', 'INTEGER', skewed(40)), column('g', 'int', 'SMALLINT', below(6))],
    partitionColumns: [],
    files: [{ rowGroups: [0] }],
  },
  {
    // Names that the planner itself uses for what it makes.
    name: 'tricky',
    columns: [
      column('key_0', 'int', 'INTEGER', below(5)),
      column('key_1', 'int', 'INTEGER', below(5)),
      column('value_0', 'int', 'BIGINT', below(9)),
      column('order_0', 'int', 'INTEGER', below(9)),
      column('Group', 'text', 'VARCHAR', text(WORDS)),
      column('part', 'decimal', 'DECIMAL(5,1)', decimal(2)),
    ],
    partitionColumns: [],
    files: [{ rowGroups: [30] }, { rowGroups: [25] }],
  },
  {
    // One key in most rows, NULL in many, values at the edges of their types.
    name: 'skew',
    columns: [
      column('id', 'int', 'BIGINT', rowNumber),
      column('k', 'int', 'INTEGER', heavy(40)),
      column('g', 'int', 'SMALLINT', heavy(4)),
      column('narrow', 'decimal', 'DECIMAL(5,1)', decimal(2)),
      column('amount', 'decimal', 'DECIMAL(18,4)', decimal(4)),
      column('rich', 'wide', 'DECIMAL(38,10)', decimal(6)),
      column('ratio', 'double', 'DOUBLE', strange),
      column('name', 'text', 'VARCHAR', anyText),
      column('tags', 'list', 'INTEGER[]', list),
      column('pair', 'struct', 'STRUCT(a INTEGER, b VARCHAR)', struct),
      column('found', 'other', 'MAP(VARCHAR, INTEGER)', map),
      column('since', 'date', 'DATE', date),
      column('moment', 'timestamp', 'TIMESTAMP', timestamp),
      column('ok', 'bool', 'BOOLEAN', bool),
    ],
    partitionColumns: [],
    files: [{ rowGroups: [40, 40] }, { rowGroups: [50] }, { rowGroups: [10, 20, 20] }],
  },
  {
    name: 'void',
    columns: [
      column('id', 'int', 'INTEGER', rowNumber),
      column('k', 'int', 'INTEGER', never),
      column('g', 'int', 'SMALLINT', below(3)),
      column('amount', 'decimal', 'DECIMAL(7,3)', never),
      column('name', 'text', 'VARCHAR', never),
      column('tags', 'list', 'INTEGER[]', never),
      column('ok', 'bool', 'BOOLEAN', never),
    ],
    partitionColumns: [],
    files: [{ rowGroups: [20] }, { rowGroups: [15] }],
  },
  {
    // A dimension: each key once.
    name: 'dims',
    columns: [
      column('id', 'int', 'INTEGER', rowNumber),
      column('k', 'int', 'INTEGER', rowNumber),
      column('g', 'int', 'SMALLINT', below(6)),
      column('name', 'text', 'VARCHAR', text(NAMES)),
    ],
    partitionColumns: [],
    files: [{ rowGroups: [20] }, { rowGroups: [16] }],
  },
  {
    name: 'daily',
    columns: [
      column('id', 'int', 'BIGINT', rowNumber),
      column('k', 'int', 'INTEGER', skewed(40)),
      column('amount', 'decimal', 'DECIMAL(9,0)', decimal(0)),
      column('ok', 'bool', 'BOOLEAN', bool),
    ],
    partitionColumns: [
      column('day', 'date', 'DATE', (random) =>
        orNull(random, () => `DATE '2020-01-01' + ${random.below(5)}`),
      ),
    ],
    files: [{ rowGroups: [80] }],
  },
]

/** Rows of one key in a table that was written in the order of its keys: row groups end where keys do. */
const ROWS_OF_KEY = 10
const inOrder: Value = (_random, row) => String(Math.floor(row / ROWS_OF_KEY))

/** Tables whose files share no value of `k`, by the tables that have the same columns. */
export const IN_ORDER: ReadonlyMap<string, GeneratedTable> = new Map(
  TABLES.filter(({ name }) => ['events', 'skew'].includes(name)).map((table) => [
    table.name,
    {
      ...table,
      name: `${table.name}_in_order`,
      columns: table.columns.map((c) => (c.name === 'k' ? { ...c, value: inOrder } : c)),
    },
  ]),
)

/** So many columns that whatever looks at each for each other takes long. */
const BROAD_COLUMNS = 1000
const BROAD_KINDS: readonly (readonly [ItemKind, string, Value])[] = [
  ['int', 'INTEGER', below(5)],
  ['int', 'BIGINT', below(3)],
  ['text', 'VARCHAR', text(WORDS)],
  ['decimal', 'DECIMAL(9,2)', decimal(2)],
]

/** Tables that only queries of their own read. */
export const BROAD: GeneratedTable = {
  name: 'broad',
  columns: [
    column('id', 'int', 'INTEGER', rowNumber),
    column('k', 'int', 'INTEGER', below(6)),
    ...Array.from({ length: BROAD_COLUMNS - 2 }, (_, i) => {
      const [kind, type, value] = BROAD_KINDS[i % BROAD_KINDS.length] ?? ['int', 'INTEGER', never]
      return column(`c${i + 3}`, kind, type, value)
    }),
  ],
  partitionColumns: [],
  files: [{ rowGroups: [9] }, { rowGroups: [7] }],
}

/** Views over the tables, each as a query's author sees it. */
export const VIEWS: readonly {
  readonly name: string
  readonly sql: string
  readonly rows: number
  readonly columns: readonly Pick<GeneratedColumn, 'name' | 'kind'>[]
}[] = [
  {
    name: 'recent',
    sql: 'SELECT id, k AS key, amount, name FROM events WHERE g >= 2',
    rows: 170,
    columns: [
      { name: 'id', kind: 'int' },
      { name: 'key', kind: 'int' },
      { name: 'amount', kind: 'decimal' },
      { name: 'name', kind: 'text' },
    ],
  },
  {
    name: 'totals',
    sql: 'WITH events AS (SELECT * FROM recent) SELECT key AS k, count(*) AS n, max(name) AS name FROM events GROUP BY key',
    rows: 40,
    columns: [
      { name: 'k', kind: 'int' },
      { name: 'n', kind: 'int' },
      { name: 'name', kind: 'text' },
    ],
  },
  {
    name: 'paired',
    sql: `SELECT e.id, e.k, d.name, coalesce(s.amount, 0) AS amount, row_number() OVER (PARTITION BY e.g ORDER BY e.id, s.id) AS n
      FROM events e LEFT JOIN sales s ON e.id = s.id LEFT JOIN dims d ON d.k = e.k`,
    rows: 280,
    columns: [
      { name: 'id', kind: 'int' },
      { name: 'k', kind: 'int' },
      { name: 'name', kind: 'text' },
      { name: 'amount', kind: 'decimal' },
      { name: 'n', kind: 'int' },
    ],
  },
  {
    name: 'everyone',
    sql: 'SELECT id, k, name FROM people UNION ALL SELECT id, k, name FROM dims EXCEPT SELECT id, k, name FROM void',
    rows: 86,
    columns: [
      { name: 'id', kind: 'int' },
      { name: 'k', kind: 'int' },
      { name: 'name', kind: 'text' },
    ],
  },
]

export const rowsOf = (table: GeneratedTable): number =>
  table.files.reduce((sum, file) => sum + file.rowGroups.reduce((a, b) => a + b, 0), 0)

export const allColumns = (table: GeneratedTable): readonly GeneratedColumn[] => [
  ...table.columns,
  ...table.partitionColumns,
]

export const columnRecords = (columns: readonly GeneratedColumn[]): readonly ColumnRecord[] =>
  columns.map(({ name, type }) => ({ name, type }))
