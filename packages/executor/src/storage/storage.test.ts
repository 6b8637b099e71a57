import { copyFile, mkdir, open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock as clock } from '@nyala/client/base'
import t from 'tap'
import { KernelWorld } from '../testing/kernel-world.ts'
import { Inspector } from './inspector.ts'
import { readFooter } from './parquet-footer.ts'
import { partitionValues } from './partition-values.ts'
import { Roots } from './roots.ts'

const world = await KernelWorld.start()
t.teardown(() => world[Symbol.asyncDispose]())
const roots = await Roots.open([world.data])
const newInspector = (): Inspector =>
  new Inspector({ roots, describe: (path) => world.kernels.describe(path) })

let directories = 0
async function newDirectory(): Promise<string> {
  const directory = join(world.data, `d${directories++}`)
  await mkdir(directory)
  return directory
}

/** Writes one Parquet file through the kernel. */
async function writeParquet(path: string, sql: string): Promise<void> {
  const directory = join(world.data, `made${directories++}`)
  const outcome = await world.run(sql, {
    output: { kind: 'exchange', directory, partitions: 1, keys: [] },
  })
  if (outcome.error !== undefined) throw outcome.error
  await mkdir(join(path, '..'), { recursive: true })
  await copyFile(outcome.result?.files[0]?.path ?? '', path)
  await rm(directory, { recursive: true })
}

t.test('a footer says rows, row groups and their bytes as the kernel does', async (t) => {
  const directory = await newDirectory()
  const path = join(directory, 'a.parquet')
  await writeParquet(
    path,
    "SELECT i, {a: i, b: [md5(i::VARCHAR)]} AS s, MAP {i: 'x'} AS m FROM range(300000) t(i)",
  )
  const file = await open(path, 'r')
  const { size } = await file.stat()
  const footer = await readFooter(file, path, size)
  await file.close()
  const table = await world.table(`
    SELECT row_group_id, any_value(row_group_num_rows) AS n, sum(total_compressed_size)::BIGINT AS bytes
    FROM parquet_metadata('${path}') GROUP BY 1 ORDER BY 1`)
  t.same(
    footer.rowGroups,
    table.toArray().map((row) => ({ rows: Number(row?.['n']), bytes: Number(row?.['bytes']) })),
  )
  t.equal(footer.rows, 300_000)
  t.same(footer.names, ['i', 's', 'm'])
})

t.test('files of different schemas are told apart, equal ones share a number', async (t) => {
  const directory = await newDirectory()
  await writeParquet(join(directory, 'a.parquet'), 'SELECT 1 AS x')
  await writeParquet(join(directory, 'b.parquet'), 'SELECT 2 AS x')
  await writeParquet(join(directory, 'c.parquet'), "SELECT 2::BIGINT AS x, 'y' AS y")
  const listing = await newInspector().location([directory])
  t.same(
    listing.files.map((file) => file.schema),
    [0, 0, 1],
  )
  t.same(listing.schemas, [
    [{ name: 'x', type: 'INTEGER' }],
    [
      { name: 'x', type: 'BIGINT' },
      { name: 'y', type: 'VARCHAR' },
    ],
  ])
})

t.test(
  'hidden files and directories are no data, a partition column may begin with _',
  async (t) => {
    const directory = await newDirectory()
    for (const path of ['.a.parquet', '_SUCCESS', '.git/x.parquet', '_temporary/0/x.parquet']) {
      await mkdir(join(directory, path, '..'), { recursive: true })
      await writeFile(join(directory, path), 'not Parquet')
    }
    await writeParquet(join(directory, '_day=1', 'x.parquet'), 'SELECT 1 AS x')
    const listing = await newInspector().location([directory])
    t.same(
      listing.files.map((file) => [file.path, file.partition]),
      [[join(directory, '_day=1', 'x.parquet'), [{ key: '_day', value: '1' }]]],
    )
  },
)

t.test('an empty directory is an empty listing', async (t) => {
  const directory = await newDirectory()
  t.same(await newInspector().location([directory]), {
    location: directory,
    files: [],
    schemas: [],
  })
})

t.test('one bad file fails the listing and is named', async (t) => {
  const good = join(await newDirectory(), 'good.parquet')
  await writeParquet(good, 'SELECT i FROM range(1000) t(i)')
  const whole = await readFile(good)
  const damaged = Buffer.from(whole)
  damaged.fill(0xff, whole.byteLength - 100, whole.byteLength - 8)
  const bad: Readonly<Record<string, readonly [Buffer, RegExp]>> = {
    empty: [Buffer.alloc(0), /is empty/],
    short: [Buffer.from('PAR1'), /too short/],
    text: [Buffer.from('a,b,c\n'.repeat(100)), /not Parquet/],
    cut: [whole.subarray(0, whole.byteLength - 10), /not Parquet, or was cut off/],
    'footer-length': [
      Buffer.concat([whole.subarray(0, 20), Buffer.from([255, 255, 255, 0]), Buffer.from('PAR1')]),
      /cannot have a footer/,
    ],
    damaged: [damaged, /damaged footer/],
  }
  for (const [name, [bytes, message]] of Object.entries(bad)) {
    const directory = await newDirectory()
    const path = join(directory, `${name}.parquet`)
    await copyFile(good, join(directory, 'good.parquet'))
    await writeFile(path, bytes)
    const error = { error: 'data_corrupted', message }
    await t.rejects(newInspector().location([directory]), error, name)
    await t.rejects(newInspector().location([directory]), { message: new RegExp(path) }, name)
  }
})

t.test('damage to any byte of a footer is an error or no change, never a crash', async (t) => {
  const path = join(await newDirectory(), 'x.parquet')
  await writeParquet(path, "SELECT i, 'text' AS s FROM range(10) t(i)")
  const whole = await readFile(path)
  const footerBytes = whole.readUInt32LE(whole.byteLength - 8)
  const outcomes = new Set<string>()
  for (let at = whole.byteLength - 8 - footerBytes; at < whole.byteLength - 4; at++) {
    const copy = Buffer.from(whole)
    copy[at] = (copy[at] ?? 0) ^ 0x5b
    await writeFile(path, copy)
    const file = await open(path, 'r')
    try {
      await readFooter(file, path, copy.byteLength)
      outcomes.add('read')
    } catch (error) {
      outcomes.add((error as { error?: string }).error ?? String(error))
    } finally {
      await file.close()
    }
  }
  t.ok(
    [...outcomes].every((outcome) => outcome === 'read' || outcome === 'data_corrupted'),
    [...outcomes].join(),
  )
})

t.test('two columns of one name in a file are refused', async (t) => {
  const directory = await newDirectory()
  const path = join(directory, 'x.parquet')
  await writeParquet(path, 'SELECT 1 AS aa, 2 AS ab')
  const bytes = await readFile(path)
  // The same name twice cannot be written through SQL; both have the same length, so it can be patched in.
  for (let at = bytes.indexOf('ab'); at >= 0; at = bytes.indexOf('ab', at + 1))
    bytes.write('aA', at)
  await writeFile(path, bytes)
  await t.rejects(newInspector().location([directory]), {
    error: 'duplicate_column',
    message: new RegExp(`${path}.*"aA"`),
  })
})

t.test('patterns mean what they mean to the kernel', async (t) => {
  const directory = await newDirectory()
  const made = join(directory, 'made.parquet')
  await writeParquet(made, 'SELECT 1 AS x')
  for (const name of ['a1', 'a2', 'b1', 'sub/c1', 'sub/deep/d1', 'a[1]']) {
    await mkdir(join(directory, name, '..'), { recursive: true })
    await copyFile(made, join(directory, `${name}.parquet`))
  }
  await rm(made)
  for (const pattern of [
    '*.parquet',
    'a?.parquet',
    '[ab]1.parquet',
    '[!a]1.parquet',
    'a[1-2].parquet',
    '**/*.parquet',
    '**/d1.parquet',
    '*/*.parquet',
    'sub/**/*.parquet',
    'su?/c*',
    '*1.parquet',
    'a[[]1].parquet',
  ]) {
    const path = join(directory, pattern)
    const { files } = await newInspector().files([path])
    const kernel = await world.table(`SELECT file FROM glob('${path}') ORDER BY file`)
    t.same(
      files.map((file) => file.path),
      kernel.toArray().map((row) => String(row?.['file'])),
      pattern,
    )
  }
  await t.rejects(newInspector().files([join(directory, 'z*.parquet')]), {
    error: 'undefined_file',
    message: /no file matches/,
  })
})

t.test('files by name are listed once, with the partition values of their paths', async (t) => {
  const directory = await newDirectory()
  const path = join(directory, 'year=2024', 'city=S%C3%A3o Paulo', 'x.parquet')
  await writeParquet(path, 'SELECT 1 AS x')
  const listing = await newInspector().files([path, join(directory, '**', '*.parquet')])
  t.match(listing.files, [
    {
      path,
      rows: 1,
      partition: [
        { key: 'year', value: '2024' },
        { key: 'city', value: 'São Paulo' },
      ],
    },
  ])
})

t.test('paths need not be Parquet', async (t) => {
  const directory = await newDirectory()
  await writeFile(join(directory, 'x.csv'), 'a,b\n1,2\n')
  const listing = await newInspector().paths([join(directory, '*.csv')])
  t.match(listing, {
    schemas: [[]],
    files: [{ path: join(directory, 'x.csv'), bytes: 8, rows: 0, rowGroups: [], schema: 0 }],
  })
})

t.test('a file that was changed is read again', async (t) => {
  const directory = await newDirectory()
  const path = join(directory, 'x.parquet')
  const inspector = newInspector()
  await writeParquet(path, 'SELECT 1 AS x')
  t.equal((await inspector.location([directory])).files[0]?.rows, 1)
  await writeParquet(path, 'SELECT 1 AS x FROM range(2)')
  t.equal((await inspector.location([directory])).files[0]?.rows, 2)
  await truncate(path, 20)
  await t.rejects(inspector.location([directory]), { error: 'data_corrupted', message: /cut off/ })
})

t.test('links are followed inside the roots and refused where they lead out', async (t) => {
  const directory = await newDirectory()
  const elsewhere = await newDirectory()
  await writeParquet(join(elsewhere, 'x.parquet'), 'SELECT 1 AS x')
  await symlink(elsewhere, join(directory, 'inside'))
  const listing = await newInspector().location([directory])
  t.same(
    listing.files.map((file) => file.path),
    [join(directory, 'inside', 'x.parquet')],
  )
  const outside = {
    error: 'insufficient_privilege',
    message: /lies outside the roots/,
    detail: new RegExp(world.data),
  }
  await symlink('/etc', join(directory, 'out'))
  await t.rejects(newInspector().location([directory]), outside)
  await t.rejects(newInspector().files([join(directory, 'out', 'passwd')]), outside)
  await t.rejects(newInspector().files([join(directory, 'out', '*')]), outside)
  await t.rejects(newInspector().location([join(directory, '..', '..', '..')]), outside)
  await t.rejects(newInspector().paths(['/etc/passwd']), outside)
  await t.rejects(newInspector().paths(['/nowhere/at/all']), outside)
})

t.test('a link that leads back up does not list for ever', async (t) => {
  const directory = await newDirectory()
  await symlink(directory, join(directory, 'loop'))
  await t.rejects(newInspector().location([directory]), {
    error: 'invalid_parameter_value',
    message: /leads back/,
  })
})

t.test('what is not there, not absolute or not a directory says so', async (t) => {
  const directory = await newDirectory()
  await writeFile(join(directory, 'file'), '')
  const inspector = newInspector()
  await t.rejects(inspector.location([join(directory, 'none')]), {
    error: 'undefined_file',
    message: /does not exist/,
  })
  await t.rejects(inspector.location(['relative/path']), {
    error: 'invalid_parameter_value',
    message: /not absolute/,
  })
  await t.rejects(inspector.location([join(directory, 'file')]), {
    error: 'invalid_parameter_value',
    message: /not a directory/,
  })
  await t.rejects(inspector.files([directory]), {
    error: 'invalid_parameter_value',
    message: /is a directory/,
  })
  await t.rejects(inspector.location([]), {
    error: 'invalid_parameter_value',
    message: /one location/,
  })
})

t.test(
  'partition values are decoded, NULL is null, and what is malformed stands for itself',
  async (t) => {
    t.same(
      partitionValues(
        '/t/a=1/b=x%20y/c=__HIVE_DEFAULT_PARTITION__/d=%ZZ/e==/no/=x/f.parquet',
        '/t',
      ),
      [
        { key: 'a', value: '1' },
        { key: 'b', value: 'x y' },
        { key: 'c', value: null },
        { key: 'd', value: '%ZZ' },
        { key: 'e', value: '=' },
      ],
    )
  },
)

t.test('a thousand files are listed in a few seconds', async (t) => {
  const directory = await newDirectory()
  const made = join(directory, 'p=0', 'x.parquet')
  await writeParquet(made, 'SELECT i, md5(i::VARCHAR) AS m FROM range(100) t(i)')
  for (let p = 0; p < 20; p++) {
    await mkdir(join(directory, `p=${p}`), { recursive: true })
    for (let i = 0; i < 50; i++) await copyFile(made, join(directory, `p=${p}`, `x${i}.parquet`))
  }
  const startedAt = clock.now()
  const listing = await newInspector().location([directory])
  const elapsedMs = clock.now() - startedAt
  t.equal(listing.files.length, 1001)
  t.equal(listing.schemas.length, 1)
  t.ok(elapsedMs < 5_000, `${Math.round(elapsedMs)} ms`)
})
