import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { ColumnBatch } from '@nyala/client'
import { generateSample, type Sample } from '../sample/generate.ts'

/** Large enough that a result outgrows every buffer on its way, small enough to be made in seconds. */
const SCALE_FACTOR = 0.03

/**
 * A large result: about 17 MB, of which each row has a number of its own and a text of all its columns that does not
 * pack, so that neither a row that is missing nor one that is there twice nor a changed one can go unseen.
 */
export const STREAM_SQL = `SELECT CAST(l_orderkey * 8 + l_linenumber AS INTEGER) AS id,
  sha256(concat_ws('|', l_orderkey, l_partkey, l_suppkey, l_linenumber, l_quantity, l_extendedprice, l_shipdate, l_comment))
  || l_comment AS body FROM lineitem`

const SMALL_QUERIES = 8
const SMALL = Array.from(
  { length: SMALL_QUERIES },
  (_, k) =>
    `SELECT CAST(count(*) AS VARCHAR) || ' ' || CAST(sum(o_totalprice) AS VARCHAR) AS answer
  FROM orders WHERE o_custkey % 97 = ${k}`,
)

const DIVIDED = [
  `SELECT o_orderpriority || ' ' || CAST(count(*) AS VARCHAR) || ' ' || CAST(sum(l_extendedprice) AS VARCHAR) AS answer
  FROM lineitem JOIN orders ON l_orderkey = o_orderkey GROUP BY o_orderpriority`,
  `SELECT l_returnflag || ' ' || CAST(count(DISTINCT l_partkey) AS VARCHAR) AS answer
  FROM lineitem GROUP BY l_returnflag`,
]

/** A second of work or so for one thread, so that an executor can be met while it does it. */
const SLOW = [
  `SELECT CAST(count(*) AS VARCHAR) AS answer FROM orders a, orders b
  WHERE b.o_orderkey < 6000 AND a.o_orderkey + b.o_orderkey = 4001`,
]

/** More than {@link SPILL_MEMORY} holds of lineitem has to be sorted. */
const SPILL = [
  `SELECT CAST(sum(n * (l_orderkey % 97)) AS VARCHAR) AS answer FROM (
    SELECT l_orderkey, row_number() OVER (ORDER BY l_comment, l_orderkey, l_linenumber) AS n FROM lineitem)`,
]
/** Memory of a task that is to spill. */
export const SPILL_MEMORY = '24MB'

export interface Question {
  readonly sql: string
  /** The one text column of the answer, sorted. */
  readonly answer: readonly string[]
}

/** What the data is known to say: asked of DuckDB alone, over the same files. */
export interface Facts {
  readonly sample: Sample
  readonly small: readonly Question[]
  readonly divided: readonly Question[]
  readonly slow: readonly Question[]
  readonly spill: readonly Question[]
  readonly stream: { readonly rows: number; readonly idMax: number; readonly checksum: number }
}

/** Makes the data below `dir` and asks it everything that the load will ask the cluster. */
export async function gatherFacts(options: {
  readonly dir: string
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal | undefined
}): Promise<Facts> {
  const sample = await generateSample({ ...options, scaleFactor: SCALE_FACTOR })
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const ask = async (sql: string): Promise<readonly (readonly unknown[])[]> =>
    (await connection.runAndReadAll(sql)).getRows()
  const answer = async (sql: string): Promise<Question> => ({
    sql,
    answer: (await ask(sql)).map((row) => String(row[0])).toSorted(),
  })
  const answers = async (all: readonly string[]): Promise<readonly Question[]> => {
    const known: Question[] = []
    for (const sql of all) known.push(await answer(sql))
    return known
  }
  try {
    for (const table of ['orders', 'lineitem']) {
      const files = join(sample.dir, table, '**', '*.parquet').replaceAll("'", "''")
      await connection.run(`CREATE VIEW ${table} AS SELECT * FROM read_parquet('${files}')`)
    }
    const streamed = new StreamTally()
    for (const [id, body] of await ask(STREAM_SQL)) streamed.add(Number(id), String(body))
    return {
      sample,
      small: await answers(SMALL),
      divided: await answers(DIVIDED),
      slow: await answers(SLOW),
      spill: await answers(SPILL),
      stream: { rows: streamed.rows, idMax: streamed.idMax, checksum: streamed.checksum },
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

/** Counts the rows of {@link STREAM_SQL} one by one, in whatever order they come. */
export class StreamTally {
  readonly #seen: Uint8Array | undefined
  rows = 0
  idMax = 0
  /** Rows that came once too often. */
  doubled = 0
  /** Rows of a number that there is none of. */
  unknown = 0
  /** Sum of a hash of every row: the same in any order. */
  checksum = 0

  /** With `idMax` it tells which rows have come; without, it only counts. */
  constructor(idMax?: number) {
    if (idMax !== undefined) this.#seen = new Uint8Array(idMax + 1)
  }

  /** A batch of a stream of it. */
  addBatch({ length, columns }: ColumnBatch): void {
    const [ids, bodies] = columns
    for (let i = 0; i < length; i++) this.add(Number(ids?.[i]), String(bodies?.[i]))
  }

  add(id: number, body: string): void {
    this.rows++
    this.idMax = Math.max(this.idMax, id)
    this.checksum = (this.checksum + hashOf(id, body)) % Number.MAX_SAFE_INTEGER
    const seen = this.#seen
    if (seen === undefined) return
    if (id < 0 || id >= seen.length) this.unknown++
    else if (seen[id] === 1) this.doubled++
    else seen[id] = 1
  }
}

/** FNV-1a over the text, begun with the number: 32 bits. */
function hashOf(id: number, body: string): number {
  let hash = (0x811c9dc5 ^ id) >>> 0
  for (let i = 0; i < body.length; i++) {
    hash = Math.imul(hash ^ body.charCodeAt(i), 0x01000193) >>> 0
  }
  return hash
}

/** What is wrong with a whole result of {@link STREAM_SQL}; `wrong` beyond rows that are missing or twice there. */
export function judgeStream(
  tally: StreamTally,
  { stream }: Facts,
): { readonly rowsLost: number; readonly rowsDoubled: number; readonly wrong?: string } {
  const rowsDoubled = tally.doubled
  const rowsLost = stream.rows - (tally.rows - tally.doubled - tally.unknown)
  if (tally.unknown > 0) {
    return { rowsLost, rowsDoubled, wrong: `${tally.unknown} rows that there are not came` }
  }
  const isAsKnown = rowsLost === 0 && rowsDoubled === 0
  if (!isAsKnown || tally.checksum === stream.checksum) return { rowsLost, rowsDoubled }
  const wrong = 'every row came once, but not as it is in the files'
  return { rowsLost, rowsDoubled, wrong }
}
