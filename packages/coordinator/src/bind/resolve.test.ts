import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { renderQuery } from '../sql/renderer.ts'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import { PlanningWorld } from '../testing/planning-world.ts'
import { VIEW_DEPTH_MAX } from './resolve.ts'
import { dropRelation } from '@nyala/metastore/memory'

async function openWorld(t: Test): Promise<PlanningWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-resolve-'))
  const world = await PlanningWorld.open(directory)
  t.teardown(async () => {
    await world[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  })
  await world.addDatabase('shop')
  for (const [database, name, columns] of [
    ['default', 'orders', 'id BIGINT, customer BIGINT, total DECIMAL(10,2)'],
    ['default', 'customers', 'id BIGINT, name VARCHAR'],
    ['shop', 'orders', 'id BIGINT, shop VARCHAR'],
    ['shop', 'Items', 'id BIGINT, orders STRUCT(id BIGINT)'],
  ] as const) {
    await world.addTable({
      database,
      name,
      listing: sketchListing(
        `/data/${database}/${name}`,
        [sketchColumns(columns)],
        [{ path: 'f' }],
      ),
    })
  }
  return world
}

/** The resolved text, with scans as `<database.table>`. */
async function resolved(world: PlanningWorld, sql: string, database = 'default'): Promise<string> {
  const { query, scans } = await world.bind(sql, { database })
  return renderQuery(query).replace(/"\u0000scan (\d+)\u0000"/g, (_, id: string) => {
    const scan = scans.find((s) => s.id === Number(id))
    return `<${scan?.database}.${scan?.table}>`
  })
}

/** The tables that a text reads, in order of their names. */
async function tablesOf(
  world: PlanningWorld,
  sql: string,
  database?: string,
): Promise<readonly string[]> {
  const { scans } = await world.bind(sql, database === undefined ? {} : { database })
  return scans.map((scan) => `${scan.database}.${scan.table}`).toSorted()
}

t.test(
  'a name is looked up in the database of the session, unless it has one, in any case',
  async (t) => {
    const world = await openWorld(t)
    t.same(await tablesOf(world, 'SELECT * FROM orders'), ['default.orders'])
    t.same(await tablesOf(world, 'SELECT * FROM orders', 'shop'), ['shop.orders'])
    t.same(await tablesOf(world, 'SELECT * FROM "default".ORDERS', 'shop'), ['default.orders'])
    t.same(await tablesOf(world, 'SELECT * FROM nyala.shop.items'), ['shop.Items'])
    t.same(await tablesOf(world, 'SELECT * FROM SHOP.orders o, orders p'), [
      'default.orders',
      'shop.orders',
    ])
  },
)

t.test('each use of a table is a scan of its own', async (t) => {
  const world = await openWorld(t)
  const sql =
    'SELECT * FROM orders a JOIN orders b ON a.id = b.id WHERE a.id IN (SELECT id FROM orders)'
  const { scans } = await world.bind(sql)
  t.same(
    scans.map((s) => s.id).toSorted((a, b) => a - b),
    [0, 1, 2],
  )
})

t.test('qualified columns know their table by its alias', async (t) => {
  const world = await openWorld(t)
  t.equal(
    await resolved(world, 'SELECT shop.orders.id, orders.shop FROM shop.orders'),
    'SELECT "orders"."id", "orders"."shop" FROM <shop.orders> AS "orders"',
  )
  t.equal(
    await resolved(world, 'SELECT items.orders.id FROM shop.items'),
    'SELECT "items"."orders"."id" FROM <shop.Items> AS "items"',
    'a field of a struct is none',
  )
  t.equal(
    await resolved(world, 'SELECT nyala.shop.orders.id FROM nyala.shop.orders'),
    'SELECT "orders"."id" FROM <shop.orders> AS "orders"',
  )
})

t.test(
  'WITH hides tables of the same name, from its place on and inside its query alone',
  async (t) => {
    const world = await openWorld(t)
    const cases: readonly (readonly [sql: string, tables: readonly string[]])[] = [
      ['WITH orders AS (SELECT * FROM customers) SELECT * FROM orders', ['default.customers']],
      ['WITH orders AS (SELECT * FROM orders) SELECT * FROM orders', ['default.orders']],
      ['WITH ORDERS AS (SELECT 1) SELECT * FROM orders', []],
      ['WITH orders AS (SELECT 1 AS id) SELECT * FROM "default".orders', ['default.orders']],
      [
        'WITH a AS (SELECT * FROM orders), orders AS (SELECT * FROM customers) SELECT * FROM a, orders',
        ['default.customers', 'default.orders'],
      ],
      ['WITH orders AS (SELECT 1 AS id), b AS (SELECT * FROM orders) SELECT * FROM b', []],
      [
        'SELECT * FROM (WITH orders AS (SELECT 1 AS id) SELECT * FROM orders) q, orders',
        ['default.orders'],
      ],
      [
        'WITH orders AS (SELECT 1 AS id) SELECT * FROM customers WHERE id IN (SELECT id FROM orders)',
        ['default.customers'],
      ],
      [
        'SELECT * FROM customers WHERE EXISTS (WITH customers AS (SELECT 1 AS id) SELECT * FROM customers)',
        ['default.customers'],
      ],
      [
        'WITH RECURSIVE orders(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM orders WHERE n < 3) SELECT * FROM orders',
        [],
      ],
      ['WITH orders AS (SELECT 1 AS id) (SELECT * FROM orders UNION SELECT 2)', []],
      [
        'WITH o AS (SELECT id FROM orders) SELECT id FROM o UNION SELECT id FROM o ORDER BY 1',
        ['default.orders'],
      ],
    ]
    for (const [sql, tables] of cases) t.same(await tablesOf(world, sql), tables, sql)
  },
)

t.test('a view is its text, in the database that it was written in', async (t) => {
  const world = await openWorld(t)
  await world.addView('big', 'SELECT id, total AS sum FROM orders WHERE total > 100')
  await world.addView('shop_view', 'SELECT id, shop FROM orders', 'shop')
  t.equal(
    await resolved(world, 'SELECT * FROM big'),
    'SELECT * FROM (SELECT "id", "total" AS "sum" FROM <default.orders> AS "orders" WHERE ("total" > 100)) AS "big"("id", "sum")',
  )
  t.same(await tablesOf(world, 'SELECT * FROM shop.shop_view'), ['shop.orders'])
  t.same(await tablesOf(world, 'SELECT * FROM shop_view', 'shop'), ['shop.orders'])
})

t.test('what WITH of the outer query hides is not hidden from a view', async (t) => {
  const world = await openWorld(t)
  await world.addView('big', 'SELECT id FROM orders')
  t.same(await tablesOf(world, 'WITH orders AS (SELECT 1 AS id) SELECT * FROM big, orders'), [
    'default.orders',
  ])
})

t.test(
  'views stand on views, and the names of their columns are those of the outermost',
  async (t) => {
    const world = await openWorld(t)
    await world.addView('one', 'SELECT id AS a, total AS b FROM orders')
    await world.addView('two', 'SELECT a AS x, b FROM one WHERE a > 0')
    const { columns } = await world.bind('SELECT * FROM two AS t(p)')
    t.same(columns, [
      { name: 'p', type: 'BIGINT' },
      { name: 'b', type: 'DECIMAL(10,2)' },
    ])
    t.match(await resolved(world, 'SELECT * FROM two AS t(p)'), /AS "t"\("p", "b"\)$/)
  },
)

t.test('a view keeps the columns that it had, when its tables get more', async (t) => {
  const world = await openWorld(t)
  await world.addView('everything', 'SELECT * FROM customers')
  const { columns } = await world.bind('SELECT * FROM everything')
  t.same(columns, sketchColumns('id BIGINT, name VARCHAR'))
})

t.test('a view of the session’s place answers for where it was made', async (t) => {
  const world = await openWorld(t)
  await world.addView('place', 'SELECT current_schema() AS here', 'shop')
  t.equal(
    await resolved(world, 'SELECT here, current_database() FROM shop.place'),
    `SELECT "here", 'default' FROM (SELECT 'shop' AS "here") AS "place"("here")`,
  )
})

t.test(
  'words of the session are read with and without parentheses, unless they are names',
  async (t) => {
    const world = await openWorld(t)
    t.equal(
      await resolved(world, 'SELECT current_schema, CURRENT_SCHEMA(), current_catalog', 'shop'),
      "SELECT 'shop', 'shop', 'nyala'",
    )
    t.equal(
      await resolved(world, 'SELECT current_schema FROM (SELECT 1 AS current_schema) AS q'),
      'SELECT "current_schema" FROM (SELECT 1 AS "current_schema") AS "q"',
    )
  },
)

t.test('a table has the columns that it declares and no others', async (t) => {
  const world = await openWorld(t)
  for (const name of ['rowid', 'filename', 'file_row_number']) {
    await t.rejects(world.bind(`SELECT ${name} FROM orders`), {
      error: 'undefined_column',
      message: new RegExp(name),
      position: { line: 1, column: 8 },
    })
  }
})

t.test('columns keep their types, whatever they are', async (t) => {
  const world = await openWorld(t)
  const columns = sketchColumns(
    `a JSON, b DECIMAL(38,9), c STRUCT("x" INTEGER), d MAP(VARCHAR, INTEGER[]), e TIMESTAMP_NS, f INTEGER[3], g UHUGEINT, h TIMESTAMP WITH TIME ZONE, i BIT, j UNION("n" INTEGER), k ENUM('p'), l TIME WITH TIME ZONE, m UUID, n INTERVAL, o BLOB`,
  )
  await world.addTable({
    name: 'kinds',
    listing: sketchListing('/data/kinds', [columns], [{ path: 'f' }]),
  })
  t.same((await world.bind('SELECT * FROM kinds')).columns, columns)
})

t.test('a view that comes to stand on itself is refused', async (t) => {
  const world = await openWorld(t)
  await world.addView('ring_a', 'SELECT id FROM orders')
  await world.addView('ring_b', 'SELECT id FROM ring_a')
  await t.rejects(
    world.addView('ring_a', 'SELECT id FROM ring_b').then(() => world.bind('SELECT * FROM ring_a')),
    {
      error: 'feature_not_supported',
      message: /view "default\.ring_[ab]" refers to itself/,
    },
  )
})

t.test(`views may be nested ${VIEW_DEPTH_MAX} deep`, async (t) => {
  const world = await openWorld(t)
  await world.addView('v0', 'SELECT id FROM orders')
  for (let i = 1; i < VIEW_DEPTH_MAX; i++) await world.addView(`v${i}`, `SELECT id FROM v${i - 1}`)
  t.same(await tablesOf(world, `SELECT * FROM v${VIEW_DEPTH_MAX - 1}`), ['default.orders'])
  await t.rejects(
    world
      .addView('deep', `SELECT id FROM v${VIEW_DEPTH_MAX - 1}`)
      .then(() => world.bind('SELECT * FROM deep')),
    {
      error: 'statement_too_complex',
      message: `views are nested more than ${VIEW_DEPTH_MAX} deep`,
    },
  )
})

t.test('unknown names are errors with a place and the nearest', async (t) => {
  const world = await openWorld(t)
  const cases: readonly (readonly [sql: string, wanted: object])[] = [
    [
      'SELECT *\nFROM order',
      {
        error: 'syntax_error',
      },
    ],
    [
      'SELECT *\nFROM ordres',
      {
        error: 'undefined_table',
        message: 'table "ordres" does not exist in database "default"',
        hint: 'did you mean "orders"?',
        position: { line: 2, column: 6 },
      },
    ],
    ['SELECT * FROM items', { error: 'undefined_table', hint: 'did you mean "shop.Items"?' }],
    [
      'SELECT * FROM xyzzy',
      { error: 'undefined_table', hint: 'SHOW TABLES IN default lists them' },
    ],
    [
      'SELECT * FROM shap.orders',
      {
        error: 'undefined_database',
        message: 'database "shap" does not exist',
        hint: 'did you mean "shop"?',
      },
    ],
    [
      'SELECT * FROM other.shop.orders',
      { error: 'undefined_database', hint: 'the only catalog is "nyala"' },
    ],
    [
      'SELECT nam FROM customers',
      { error: 'undefined_column', hint: /"name"/, position: { line: 1, column: 8 } },
    ],
    ['SELECT c.nam FROM customers c', { error: 'undefined_column', position: { line: 1 } }],
    ['SELECT x.id FROM customers c', { error: 'undefined_column', message: /"x"/ }],
    ['SELECT id FROM orders, customers', { error: 'ambiguous_column', position: { line: 1 } }],
    ['SELECT upperr(name) FROM customers', { error: 'undefined_function', hint: /upper/ }],
    ['SELECT name FROM customers GROUP BY id', { error: 'grouping_error' }],
    ['SELECT sum(name) FROM customers', { error: 'undefined_function' }],
    [
      'SELECT * FROM orders AT (VERSION => 3)',
      { error: 'feature_not_supported', message: /external: it has no snapshots/ },
    ],
  ]
  for (const [sql, wanted] of cases) await t.rejects(world.bind(sql), wanted as Error, sql)
})

t.test('an error inside a view has no place in the text of the user', async (t) => {
  const world = await openWorld(t)
  await world.addView('big', 'SELECT id FROM orders')
  await dropRelation(world.catalog, { database: 'default', name: 'orders' }, { expect: 'table' })
  const error = await world.bind('SELECT * FROM big').then(
    () => undefined,
    (e: unknown) => e,
  )
  t.match(error, { error: 'undefined_table', message: /"orders"/ })
  t.equal((error as { position?: unknown }).position, undefined)
})

t.test('table functions that read nothing are allowed, all others by a list', async (t) => {
  const world = await openWorld(t)
  for (const sql of [
    'SELECT * FROM range(3)',
    'SELECT * FROM generate_series(1, 3) AS g(n)',
    'SELECT * FROM unnest([1, 2])',
    'SELECT o.id, r.n FROM orders o, range(3) r(n)',
  ]) {
    await t.resolves(world.bind(sql), sql)
  }
  for (const call of [
    'duckdb_settings()',
    'duckdb_secrets()',
    'pragma_version()',
    "query('SELECT 1')",
    "query_table('orders')",
    "sql_auto_complete('x')",
    'duckdb_memory()',
    "seq_scan('x')",
    "sniff_csv('/etc/passwd')",
    'pg_timezone_names()',
    "json_execute_serialized_sql('x')",
    "READ_DUCKDB('x')",
    'main.duckdb_settings()',
  ]) {
    await t.rejects(
      world.bind(`SELECT * FROM ${call}`),
      { error: 'undefined_function', message: /table function ".*" cannot be called here/ },
      call,
    )
  }
})

t.test('functions over files name their files, and those are found by an executor', async (t) => {
  const world = await openWorld(t)
  const cases: readonly (readonly [from: string, what: string, patterns: readonly string[]])[] = [
    ["read_parquet('/data/*.parquet')", 'files', ['/data/*.parquet']],
    ["read_parquet(['/a', '/b'])", 'files', ['/a', '/b']],
    ["parquet_metadata('/a')", 'files', ['/a']],
    ["read_csv('/a.csv')", 'paths', ['/a.csv']],
    ["'/data/x.parquet'", 'files', ['/data/x.parquet']],
    ["'/data/x.csv.gz'", 'paths', ['/data/x.csv.gz']],
  ]
  for (const [from, what, patterns] of cases) {
    const asked: unknown[] = []
    const bound = await world.bind(`SELECT * FROM ${from} AS f`, {
      findFiles: (file) => {
        asked.push([file.what, file.patterns])
        return Promise.resolve(["/found/o'ne"])
      },
    })
    t.same(asked, [[what, patterns]], from)
    t.match(renderQuery(bound.query), /\['\/found\/o''ne'\]/, 'what was found is what is read')
    t.notMatch(renderQuery(bound.query), /\/data\/|'\/a'/, 'what was written is not')
    t.equal(bound.columns, undefined)
  }
})

t.test('a path that is not written out is refused', async (t) => {
  const world = await openWorld(t)
  for (const from of [
    'read_parquet(name)',
    "read_parquet('/a' || '/b')",
    "read_parquet(['/a', upper('/b')])",
    'read_parquet()',
    'read_parquet(5)',
    "read_parquet(getenv('HOME'))",
    'read_parquet((SELECT max(name) FROM customers))',
    'customers, read_parquet(name)',
  ]) {
    await t.rejects(
      world.bind(`SELECT * FROM ${from}`),
      { error: 'feature_not_supported', message: /must be a path or a list of paths, written out/ },
      from,
    )
  }
})

t.test('where a file reader stands does not matter: it is found', async (t) => {
  const world = await openWorld(t)
  for (const sql of [
    "SELECT (SELECT count(*) FROM read_parquet('/a'))",
    "SELECT * FROM orders WHERE id IN (SELECT id FROM read_parquet('/a'))",
    "WITH w AS (SELECT * FROM read_parquet('/a')) SELECT * FROM w",
    "SELECT * FROM orders UNION ALL SELECT * FROM read_parquet('/a')",
    "SELECT * FROM orders JOIN LATERAL (SELECT * FROM read_parquet('/a')) q ON true",
    "FROM (VALUES (1)) v(a), read_parquet('/a')",
    "PIVOT (SELECT * FROM read_parquet('/a')) ON id IN (1, 2) USING sum(total)",
    "SELECT list_transform([1], lambda x: (SELECT count(*) FROM read_parquet('/a')))",
  ]) {
    let asked = 0
    await world
      .bind(sql, {
        findFiles: () => {
          asked++
          return Promise.resolve(['/found'])
        },
      })
      .then(
        () => t.equal(asked, 1, sql),
        (error: unknown) => t.match(error, { error: /./ }, `refused: ${sql}`),
      )
  }
})
