import type { Test } from 'tap'
import { directoryOf, readElsewhere } from './iceberg-reader.ts'
import type { World } from './world.ts'

/** What is written is what another reader of Iceberg takes it for, on a cluster that runs. */
export async function checkElsewhere(t: Test, world: World): Promise<void> {
  const { db } = world
  await t.test('partitions are what another reader of Iceberg takes them for', async (t) => {
    await db.execute(`CREATE TABLE divided (a BIGINT, b STRING, d DECIMAL(12,2), ts TIMESTAMP)
      PARTITIONED BY (b, truncate(10, a), bucket(3, a), month(ts))`)
    await db.execute(`INSERT INTO divided SELECT i, CASE WHEN i < 20 THEN 'x/ü' END, i % 2 - 0.5,
      TIMESTAMP '1969-12-31 23:00:00' + INTERVAL (i // 15) HOUR FROM range(-10, 30) r(i)`)
    const rows = await readElsewhere(await directoryOf(world, 'divided'))
    t.same(
      rows.map(({ a }) => Number(a)).toSorted((x, y) => x - y),
      Array.from({ length: 40 }, (_, i) => i - 10),
    )
    for (const { a, b, d } of rows) {
      t.match({ b: b ?? null, d }, { b: Number(a) < 20 ? 'x/ü' : null, d: (Number(a) % 2) - 0.5 })
    }
  })

  await t.test('columns that were changed are so to another reader of Iceberg', async (t) => {
    await db.execute('CREATE TABLE shaped (a INT, b STRING, c INT)')
    await db.execute("INSERT INTO shaped SELECT 1, 'one', 10")
    await db.execute('ALTER TABLE shaped DROP COLUMN c')
    await db.execute('ALTER TABLE shaped RENAME COLUMN b TO c')
    await db.execute('ALTER TABLE shaped ADD COLUMN b BIGINT')
    await db.execute('ALTER TABLE shaped ALTER COLUMN a TYPE BIGINT')
    await db.execute("INSERT INTO shaped SELECT 5000000000, 'two', 2")
    const rows = await readElsewhere(await directoryOf(world, 'shaped'))
    t.same(
      rows.map(({ a, b, c }) => [Number(a), b === null || b === undefined ? null : Number(b), c]),
      [
        [1, null, 'one'],
        [5_000_000_000, 2, 'two'],
      ],
    )
  })
  await checkKinds(t, world)
  await checkSteps(t, world)
}

async function checkKinds(t: Test, world: World): Promise<void> {
  const { db } = world
  await t.test('what is written is read by another reader of Iceberg, too', async (t) => {
    await db.execute(`CREATE TABLE kinds (a BIGINT, b STRING, d DECIMAL(12,2), e DATE, ts TIMESTAMP,
      f DOUBLE, bo BOOLEAN, i INT)`)
    await db.execute(`INSERT INTO kinds VALUES
      (1, 'ü', 10.25, '2020-02-29', '2020-01-01 12:00:00.5', 0.5, true, -7),
      (9007199254740993, NULL, -0.01, NULL, NULL, NULL, NULL, NULL)`)
    await db.execute('INSERT INTO kinds (a, b) SELECT id, city FROM events WHERE id < 3')
    const rows = await readElsewhere(await directoryOf(world, 'kinds'))
    t.strictSame(
      rows.map(({ a, b }) => [a, b ?? null]),
      [
        [1n, 'ü'],
        [9007199254740993n, null],
        [0n, 'city 0'],
        [1n, 'city 1'],
        [2n, 'city 2'],
      ],
    )
    t.match(rows[0], {
      d: 10.25,
      e: new Date('2020-02-29'),
      ts: new Date('2020-01-01T12:00:00.500Z'),
      f: 0.5,
      bo: true,
      i: -7,
    })
    await db.execute('INSERT OVERWRITE kinds SELECT * FROM kinds WHERE a = 2')
    const left = await readElsewhere(await directoryOf(world, 'kinds'))
    t.strictSame(
      left.map(({ a }) => a),
      [2n],
    )
  })
}

/** Tables by their name: what makes each, step by step. After each step both readers see the same rows. */
const STEPS: Readonly<Record<string, readonly string[]>> = {
  days: [
    `CREATE TABLE days PARTITIONED BY (year(ts), day(ts), truncate(2, s)) AS SELECT i AS id, 's' || i AS s,
     TIMESTAMP '1969-12-30 12:00:00' + INTERVAL (i * 7) HOUR AS ts FROM range(12) r(i)`,
    `DELETE FROM days WHERE id IN (3, 4)`,
    `UPDATE days SET s = upper(s), ts = ts + INTERVAL 1 YEAR WHERE id > 9`,
    `ALTER TABLE days EXECUTE optimize`,
  ],
  hours: [
    `CREATE TABLE hours (id BIGINT, d DATE, ts TIMESTAMP) PARTITIONED BY (hour(ts), month(d), bucket(3, id))`,
    `INSERT INTO hours SELECT i, DATE '2024-01-30' + i::INT, TIMESTAMP '2024-01-30 23:30:00' + INTERVAL (i) HOUR
     FROM range(6) r(i)`,
    `INSERT INTO hours VALUES (7, NULL, NULL)`,
    `ALTER TABLE hours RENAME COLUMN ts TO moment`,
    `ALTER TABLE hours ADD COLUMN note STRING`,
    `MERGE INTO hours h USING (SELECT 1 AS id UNION ALL SELECT 99) s ON h.id = s.id
     WHEN MATCHED THEN UPDATE SET note = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (s.id, NULL, NULL, 'new')`,
  ],
  wide: [
    `CREATE TABLE wide AS SELECT i::INT AS a, (i / 2)::FLOAT AS f, (i / 4)::DECIMAL(4,2) AS m, 'x' AS gone FROM range(4) r(i)`,
    `ALTER TABLE wide ALTER COLUMN f TYPE DOUBLE`,
    `ALTER TABLE wide ALTER COLUMN m TYPE DECIMAL(9,2)`,
    `ALTER TABLE wide DROP COLUMN gone`,
    `INSERT INTO wide SELECT 9, 0.25, 1234567.25`,
    `DELETE FROM wide WHERE a = 1`,
  ],
  // More manifests than are left side by side.
  many: [
    `CREATE TABLE many (a INT)`,
    ...Array.from({ length: 34 }, (_, i) => `INSERT INTO many VALUES (${i})`),
    `ALTER TABLE many EXECUTE optimize`,
  ],
}

async function checkSteps(t: Test, world: World): Promise<void> {
  const { db } = world
  const text = (value: unknown): string =>
    value === null || value === undefined
      ? 'NULL'
      : value instanceof Date
        ? value.toISOString()
        : // One reader has decimals as texts, the other as numbers.
          String(value)
            .replace(/(\.\d*?)0+$/, '$1')
            .replace(/\.$/, '')
  for (const [table, steps] of Object.entries(STEPS)) {
    await t.test(`each change of "${table}" is one to another reader of Iceberg`, async (t) => {
      for (const [i, step] of steps.entries()) {
        await db.execute(step)
        // Of many that are alike the last two are looked at, when manifests were merged and files written anew.
        if (i < steps.length - 3 && steps.length > 20) continue
        const ours = (await db.query(`SELECT * FROM ${table}`)).rows
        if (ours.length === 0) continue
        const theirs = await readElsewhere(await directoryOf(world, table))
        const names = Object.keys(ours[0] ?? {})
        const rowsOf = (rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] =>
          rows.map((row) => names.map((name) => text(row[name])).join(' | ')).toSorted()
        t.same(rowsOf(theirs), rowsOf(ours), step)
      }
    })
  }
}
