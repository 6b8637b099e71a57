import { SqlError } from '@nyala/client/protocol'
import type { CatalogSnapshot } from '@nyala/metastore'
import t from 'tap'
import { type AheadContext, WorkAhead } from './work-ahead.ts'

const snapshot = (revision: number): CatalogSnapshot => ({ revision }) as CatalogSnapshot

/** A statement whose coordinator has seen `seen`, and of which etcd says that `newest` is the newest revision. */
class FakeStatement implements AheadContext {
  readonly catalog: CatalogSnapshot
  readonly done: string[] = []
  readonly #newest: number

  constructor(seen: number, newest: number) {
    this.catalog = snapshot(seen)
    this.#newest = newest
  }

  askNewest = (): void => void this.done.push('ask')

  newest = (): Promise<CatalogSnapshot> => {
    this.done.push('newest')
    const { catalog } = this
    return Promise.resolve(catalog.revision >= this.#newest ? this.catalog : snapshot(this.#newest))
  }

  /** Work that fails below the revision at which what it needs was committed. */
  readonly work = ({ catalog }: AheadContext, needs = 0): Promise<string> => {
    this.done.push(`work on ${catalog.revision}`)
    return catalog.revision < needs
      ? Promise.reject(new SqlError('undefined_table', `not at ${catalog.revision}`))
      : Promise.resolve(`made of ${catalog.revision}`)
  }
}

t.test('what was made of the newest snapshot counts', async (t) => {
  const statement = new FakeStatement(7, 7)
  const { value, context } = await new WorkAhead().run(statement, statement.work)
  t.equal(value, 'made of 7')
  t.equal(context, statement)
  t.same(statement.done, ['ask', 'work on 7', 'newest'], 'etcd is asked before, and heard after')
})

t.test('what was made of an old snapshot is made again', async (t) => {
  const statement = new FakeStatement(7, 9)
  const { value, context } = await new WorkAhead().run(statement, statement.work)
  t.equal(value, 'made of 9')
  t.equal(context.catalog.revision, 9)
  t.same(statement.done, ['ask', 'work on 7', 'newest', 'work on 9'])
})

t.test('an error is told of the newest snapshot alone', async (t) => {
  const found = new FakeStatement(7, 9)
  const { value } = await new WorkAhead().run(found, (context) => found.work(context, 9))
  t.equal(value, 'made of 9', 'the table is newer than what was at hand')
  const missing = new FakeStatement(7, 9)
  const failing = new WorkAhead().run(missing, (context) => missing.work(context, 10))
  await t.rejects(failing, /not at 9/)
  const known = new FakeStatement(9, 9)
  await t.rejects(
    new WorkAhead().run(known, (context) => known.work(context, 10)),
    /not at 9/,
  )
  t.same(known.done, ['ask', 'work on 9', 'newest'], 'nor is it looked for twice')
})

t.test('nothing that was made counts where etcd does not say', async (t) => {
  const statement = new FakeStatement(7, 7)
  const newest = (): Promise<CatalogSnapshot> =>
    Promise.reject(new SqlError('metastore_unavailable', 'no word'))
  const context = { ...statement, newest }
  await t.rejects(new WorkAhead().run(context, statement.work), /no word/)
})

t.test('who was wrong waits for etcd until he would have been right', async (t) => {
  const ahead = new WorkAhead()
  const done = async (seen: number, newest: number): Promise<readonly string[]> => {
    const statement = new FakeStatement(seen, newest)
    await ahead.run(statement, statement.work)
    return statement.done
  }
  await done(7, 8)
  t.same(await done(8, 9), ['newest', 'work on 9'])
  t.same(await done(9, 9), ['newest', 'work on 9'])
  t.same(await done(9, 9), ['ask', 'work on 9', 'newest'])
})
