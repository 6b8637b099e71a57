import type { Database } from '@nyala/client'
import type { Operation } from './history.ts'

export const DATABASES = ['default', 'other'] as const
export type DatabaseName = (typeof DATABASES)[number]

const ACCOUNTS_EACH = 4
const BALANCE = 100
/** Elements of the ring: those with even numbers are in one database, the others in the other one. */
export const RING_SIZE = 12
/** Values that a list gets before another one takes its place, and lists that change at the same time. */
export const LIST_VALUES = 40
export const LISTS_OPEN = 6

export const ACCOUNTS: readonly string[] = DATABASES.flatMap((database) =>
  Array.from({ length: ACCOUNTS_EACH }, (_, i) => `${database} ${i}`),
)
export const TOTAL: number = ACCOUNTS.length * BALANCE

export const ringTable = (id: number): string => `${DATABASES[id % 2] ?? ''}.ring`

/** Tables of both databases: `sets`, `ranges`, `lists`, `accounts`, `ring`. Lists there are as many as asked for. */
export async function makeTables(db: Database, lists: number): Promise<void> {
  await db.execute('CREATE DATABASE other')
  for (const [i, database] of DATABASES.entries()) {
    const own = async (table: string, columns: string): Promise<void> =>
      void (await db.execute(`CREATE TABLE ${database}.${table} (${columns}`))
    await own('sets', 'k BIGINT, v BIGINT)')
    await own('ranges', 'k BIGINT, v BIGINT)')
    await own('lists', 'k BIGINT, list STRING) PARTITIONED BY (bucket(8, k))')
    await own('accounts', 'name STRING, balance BIGINT) PARTITIONED BY (name)')
    await own('ring', 'id BIGINT, next BIGINT) PARTITIONED BY (id)')
    await db.execute(`INSERT INTO ${database}.lists SELECT i, '' FROM range(${lists}) r(i)`)
    await db.execute(
      `INSERT INTO ${database}.accounts SELECT '${database} ' || i, ${BALANCE} FROM range(${ACCOUNTS_EACH}) r(i)`,
    )
    await db.execute(
      `INSERT INTO ${database}.ring SELECT i, (i + 1) % ${RING_SIZE} FROM range(${RING_SIZE}) r(i) WHERE i % 2 = ${i}`,
    )
  }
}

/** The tables that many small files come into. */
export const APPENDED: readonly string[] = DATABASES.flatMap((database) => [
  `${database}.sets`,
  `${database}.ranges`,
])

const bothOf = (select: (database: DatabaseName) => string): string =>
  DATABASES.map(select).join(' UNION ALL ')

/** Sets of both databases in one statement; `where`: a condition on the number of the set, for each. */
export const setsSql = (
  table: 'sets' | 'ranges',
  where: Readonly<Record<DatabaseName, string>>,
): string =>
  bothOf((name) => `SELECT '${name}' AS d, k, v FROM ${name}.${table} WHERE ${where[name]}`)

export const ACCOUNTS_SQL: string = bothOf((name) => `SELECT name, balance FROM ${name}.accounts`)
export const RING_SQL: string = bothOf((name) => `SELECT id, next FROM ${name}.ring`)

type Rows = readonly Readonly<Record<string, unknown>>[]

/** What rows of {@link setsSql} show of these keys, and of all others that there are rows of. */
export function setsIn(rows: Rows, prefix: string, keys: readonly string[]): readonly Operation[] {
  const found = new Map<string, number[]>(keys.map((key) => [key, []]))
  for (const { d, k, v } of rows) {
    const key = `${prefix}${String(d)} ${String(k)}`
    const values = found.get(key)
    if (values === undefined) found.set(key, [Number(v)])
    else values.push(Number(v))
  }
  return [...found].map(([key, values]) => ({ kind: 'set', key, values }))
}

export const accountsIn = (rows: Rows): Operation & { readonly kind: 'accounts' } => ({
  kind: 'accounts',
  balances: Object.fromEntries(rows.map(({ name, balance }) => [String(name), Number(balance)])),
})

export const ringIn = (rows: Rows): Operation & { readonly kind: 'ring' } => ({
  kind: 'ring',
  next: Object.fromEntries(rows.map(({ id, next }) => [Number(id), Number(next)])),
})

/** The values of a list, which stand in one text with a comma before each. */
export const listValues = (rows: Rows): readonly number[] =>
  String(rows[0]?.['list'] ?? '')
    .split(',')
    .filter((one) => one !== '')
    .map(Number)
