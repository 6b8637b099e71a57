import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { sketchColumns, sketchListing } from '../testing/listings.ts'
import { PlanningWorld } from '../testing/planning-world.ts'

const PARTITIONS = [
  'region=north/y=2020/d=2020-01-01',
  'region=north/y=2021/d=2021-06-01',
  'region=south%2C%20west/y=2020/d=2020-01-02',
  'region=7/y=2022/d=2020-03-01',
  'region=__HIVE_DEFAULT_PARTITION__/y=2021/d=2020-01-01',
  'region=north/y=__HIVE_DEFAULT_PARTITION__/d=__HIVE_DEFAULT_PARTITION__',
]

async function openWorld(t: Test): Promise<PlanningWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-bind-'))
  const world = await PlanningWorld.open(directory)
  t.teardown(async () => {
    await world[Symbol.asyncDispose]()
    await rm(directory, { recursive: true })
  })
  await world.addTable({
    name: 'sales',
    listing: sketchListing(
      '/data/sales',
      [sketchColumns('id BIGINT, amount DECIMAL(10,2)')],
      PARTITIONS.map((path) => ({ path: `${path}/f.parquet` })),
    ),
    partitionColumns: sketchColumns('region VARCHAR, y INTEGER, d DATE'),
  })
  await world.addTable({
    name: 'people',
    listing: sketchListing(
      '/data/people',
      [sketchColumns('id BIGINT, name VARCHAR')],
      [{ path: 'p.parquet' }],
    ),
  })
  return world
}

/** Ordinals of the partitions that the scan of `sales` still has. */
async function partitionsLeft(world: PlanningWorld, sql: string): Promise<string> {
  const { scans } = await world.bind(sql)
  const found = scans.filter((scan) => scan.table === 'sales')
  return found
    .map((scan) =>
      scan.files
        .map((file) => file.partition)
        .toSorted((a, b) => a - b)
        .join(''),
    )
    .join(' ')
}

t.test('only partitions that can have rows of the result are left', async (t) => {
  const world = await openWorld(t)
  const cases: readonly (readonly [where: string, left: string])[] = [
    ["region = 'north'", '015'],
    ["region = 'south, west'", '2'],
    ['region = 7::VARCHAR', '3'],
    ["region <> 'north'", '23'],
    ['region IS NULL', '4'],
    ['region IS NOT NULL', '01235'],
    ["region IS DISTINCT FROM 'north'", '234'],
    ['y = 2020', '02'],
    ['y IN (2020, 2022)', '023'],
    ['y NOT IN (2020, 2022)', '14'],
    ['y > 2020', '134'],
    ['y BETWEEN 2021 AND 2030', '134'],
    ['NOT (y = 2020)', '134'],
    ['(y = 2020) IS NOT TRUE', '1345'],
    ["y = 2020 OR region = 'north'", '0125'],
    ["y = 2020 AND region = 'north'", '0'],
    ['coalesce(y, 2020) = 2020', '025'],
    ["d >= DATE '2020-01-02' AND d < DATE '2020-02-01'", '2'],
    ['extract(month FROM d) = 6', '1'],
    ["upper(region) LIKE 'N%' AND y % 2 = 1", '1'],
    ['try_cast(region AS INTEGER) = 7', '3'],
    ['y = 1999', ''],
    ['sales.y = 2020 AND amount > 3', '02'],
    ['Y = 2020 AND "REGION" = \'north\'', '0'],
    ['false', '012345'],
  ]
  for (const [where, left] of cases) {
    t.equal(await partitionsLeft(world, `SELECT count(*) FROM sales WHERE ${where}`), left, where)
  }
})

t.test('a predicate that is not about partition columns alone prunes nothing', async (t) => {
  const world = await openWorld(t)
  for (const where of [
    'y = id',
    'y = 2020 OR amount > 3',
    "region = 'north' OR EXISTS (SELECT 1 FROM people)",
    'y IN (SELECT id FROM people)',
    'y = (SELECT max(id) FROM people)',
    'y > random() * 3000',
    'd > current_date - 1000',
    'list_contains(list_transform([2020], lambda x: x + 1), y)',
    'cast(region AS INTEGER) = 7',
  ]) {
    t.equal(
      await partitionsLeft(world, `SELECT count(*) FROM sales WHERE ${where}`),
      '012345',
      where,
    )
  }
})

t.test('joins prune by what every row of the table must satisfy, and no further', async (t) => {
  const world = await openWorld(t)
  const all = '012345'
  const cases: readonly (readonly [from: string, left: string])[] = [
    ['sales s JOIN people p ON s.id = p.id AND s.y = 2020', '02'],
    ['sales s JOIN people p ON s.id = p.id WHERE s.y = 2020', '02'],
    ['sales s JOIN people p USING (id) WHERE y = 2020', '02'],
    ['sales s, people p WHERE s.id = p.id AND y = 2020', '02'],
    ['sales s LEFT JOIN people p ON s.id = p.id WHERE s.y = 2020', '02'],
    ['sales s LEFT JOIN people p ON s.id = p.id AND s.y = 2020', all],
    ['people p LEFT JOIN sales s ON s.id = p.id AND s.y = 2020', all],
    ['people p LEFT JOIN sales s ON s.id = p.id WHERE s.y = 2020', all],
    ['people p LEFT JOIN sales s ON s.id = p.id WHERE s.y IS NULL', all],
    ['people p RIGHT JOIN sales s ON s.id = p.id WHERE s.y = 2020', '02'],
    ['sales s RIGHT JOIN people p ON s.id = p.id WHERE s.y IS NULL', all],
    ['sales s FULL JOIN people p ON s.id = p.id WHERE s.y = 2020', all],
    ['sales s SEMI JOIN people p ON s.id = p.id WHERE s.y = 2020', '02'],
    ['sales s SEMI JOIN people p ON s.id = p.id AND s.y = 2020', all],
    ['people p SEMI JOIN sales s ON s.id = p.id AND s.y = 2020', all],
    ['people p ANTI JOIN sales s ON s.id = p.id AND s.y = 2020', all],
    ['sales s ANTI JOIN people p ON s.id = p.id WHERE s.y = 2020', '02'],
    [
      'people q LEFT JOIN (sales s JOIN people p ON s.id = p.id AND s.y = 2020) ON q.id = s.id',
      all,
    ],
    ['(sales s LEFT JOIN people p ON s.id = p.id) JOIN people q ON s.y = 2020', '02'],
    ['sales a JOIN sales b ON a.id = b.id AND a.y = 2020 AND b.y = 2021', '02 14'],
    ['sales a JOIN sales b ON a.y = b.y WHERE a.y = 2020', '02 012345'],
    ['people p WHERE EXISTS (SELECT 1 FROM sales s WHERE s.y = 2020 AND s.id = p.id)', '02'],
    ['people p WHERE p.id NOT IN (SELECT s.id FROM sales s WHERE s.y = 2020)', '02'],
    ['sales s WHERE EXISTS (SELECT 1 FROM sales i WHERE s.y = 2020 AND i.y = 2021)', '14 012345'],
    ['(SELECT * FROM sales WHERE y = 2020) q WHERE q.region = 7::VARCHAR', '02'],
    ['sales s, LATERAL (SELECT * FROM people p WHERE s.y = 2020) q', all],
    ['sales s ASOF JOIN people p ON s.id >= p.id WHERE s.y = 2020', all],
    ['sales s POSITIONAL JOIN people p WHERE s.y = 2020', all],
  ]
  for (const [from, left] of cases) {
    const found = await partitionsLeft(world, `SELECT 1 FROM ${from}`)
    t.equal(sorted(found), sorted(left), from)
  }
})

/** Scans are numbered in the order in which the tree is walked, which is no promise. */
const sorted = (text: string): string => text.split(' ').toSorted().join(' ')

t.test('names that stand for other columns do not prune', async (t) => {
  const world = await openWorld(t)
  for (const from of [
    'sales AS s(region, amount, id, y, d) WHERE region = 7',
    'sales AS s(a, y) WHERE y = 2020',
    '(SELECT id AS y, y AS id FROM sales) q WHERE y = 2020',
  ]) {
    t.equal(await partitionsLeft(world, `SELECT 1 FROM ${from}`), '012345', from)
  }
})

t.test('counts of files and partitions are those before and after pruning', async (t) => {
  const world = await openWorld(t)
  const { scans } = await world.bind('SELECT * FROM sales WHERE y = 2020')
  t.match(scans[0], { filesTotal: 6, partitionsTotal: 6, partitionsLeft: 2 })
  t.equal(scans[0]?.files.length, 2)
})

t.test('what depends on the time zone is computed in that of the session', async (t) => {
  const world = await openWorld(t)
  const sql = "SELECT 1 FROM sales WHERE d = TIMESTAMPTZ '2020-01-01 00:00:00+00'"
  const left = async (timezone: string): Promise<string> => {
    const { scans } = await world.bind(sql, { timezone })
    return (scans[0]?.files ?? []).map((file) => file.partition).join('')
  }
  t.equal(await left('UTC'), '04')
  t.equal(await left('Asia/Tokyo'), '', 'midnight there is another moment')
  t.equal(await left('UTC'), '04', 'and back')
  t.equal(await left('Nowhere/At_All'), '012345', 'what cannot be computed prunes nothing')
  t.equal(await left('UTC'), '04', 'nor is it in the way of others')
})

t.test('a table without files binds, and has none', async (t) => {
  const world = await openWorld(t)
  await world.addTable({
    name: 'nothing',
    listing: sketchListing('/data/nothing', [], []),
    columns: sketchColumns('a INTEGER'),
    partitionColumns: sketchColumns('p INTEGER'),
  })
  const { scans, columns } = await world.bind('SELECT * FROM nothing WHERE p = 1')
  t.same(scans[0]?.files, [])
  t.same(columns, sketchColumns('a INTEGER, p INTEGER'))
})

t.test('a partition value that does not fit its column is an error that names both', async (t) => {
  const world = await openWorld(t)
  await world.addTable({
    name: 'broken',
    listing: sketchListing(
      '/data/broken',
      [sketchColumns('a INTEGER')],
      [{ path: 'p=x/f.parquet' }],
    ),
    partitionColumns: sketchColumns('p INTEGER'),
  })
  await t.rejects(world.bind('SELECT * FROM broken WHERE p = 1'), {
    error: 'schema_mismatch',
    message: /partition value does not fit its column \("p" INTEGER\).*'x'/,
  })
})
