import { connect, type Database, type Session } from '@nyala/client'
import type { Clock, Prng } from '@nyala/client/base'
import { CONTIGUOUS } from './checks.ts'
import type { Operation, Transaction } from './history.ts'
import { Recorder, WantsRollback } from './recorder.ts'
import {
  ACCOUNTS,
  ACCOUNTS_SQL,
  accountsIn,
  DATABASES,
  type DatabaseName,
  LIST_VALUES,
  LISTS_OPEN,
  listValues,
  RING_SIZE,
  RING_SQL,
  ringIn,
  ringTable,
  setsIn,
  setsSql,
} from './tables.ts'

/** Values that a set gets before another one takes its place. */
const SET_VALUES = 48
const SETS_OPEN = 4
/** Numbers that a writer puts into a range before it begins another one. */
const RANGE_VALUES = 60
/** After a failure, so that a cluster that refuses everything is not asked a thousand times a second. */
const AFTER_FAILURE_MS = 50

/** What all clients share: which sets and lists are written to, and which values are new. */
export class Keys {
  readonly #sets = { default: 0, other: 0 }
  #lists = 0
  #ranges = 0
  #value = 0

  nextValue(): number {
    return ++this.#value
  }

  /** A set that is written to now. */
  set(database: DatabaseName, prng: Prng): number {
    const first = Math.floor(this.#sets[database]++ / (SET_VALUES * SETS_OPEN)) * SETS_OPEN
    return first + prng.below(SETS_OPEN)
  }

  /** Some of the sets that are written to now. */
  openSets(database: DatabaseName): readonly number[] {
    const first = Math.floor(this.#sets[database] / (SET_VALUES * SETS_OPEN)) * SETS_OPEN
    return Array.from({ length: SETS_OPEN }, (_, i) => first + i)
  }

  list(prng: Prng): number {
    const first = Math.floor(this.#lists++ / (LIST_VALUES * LISTS_OPEN)) * LISTS_OPEN
    return first + prng.below(LISTS_OPEN)
  }

  nextRange(): number {
    return this.#ranges++
  }
}

/** How often a client does what, of two hundred: what takes a hundred times as long as another thing is rarer. */
const SHARES = [
  ['add', 142],
  ['readSets', 22],
  ['range', 16],
  ['readRanges', 4],
  ['sets', 5],
  ['lists', 4],
  ['transfer', 2],
  ['readAccounts', 2],
  ['turnRing', 1],
  ['readRing', 2],
] as const
type Action = (typeof SHARES)[number][0]
const ACTIONS = SHARES.flatMap(([name, share]) => Array.from({ length: share }, () => name))

/** One client of the workload, with a connection that begins at each of the coordinators. */
export class HistoryClient {
  readonly #databases: readonly Database[]
  readonly #keys: Keys
  readonly #prng: Prng
  readonly #clock: Clock
  readonly #recorder: Recorder
  readonly #onAct: (what: string, ms: number) => void
  #acts: { readonly what: Action; readonly since: number } | undefined
  #range = { database: 'default' as DatabaseName, number: 0, next: RANGE_VALUES }

  private constructor(
    databases: readonly Database[],
    parts: {
      readonly keys: Keys
      readonly prng: Prng
      readonly clock: Clock
      readonly recorder: Recorder
      readonly onAct: (what: string, ms: number) => void
    },
  ) {
    this.#databases = databases
    this.#keys = parts.keys
    this.#prng = parts.prng
    this.#clock = parts.clock
    this.#recorder = parts.recorder
    this.#onAct = parts.onAct
  }

  static async open(
    name: string,
    options: {
      readonly addresses: readonly string[]
      readonly keys: Keys
      readonly prng: Prng
      readonly clock: Clock
      readonly tell: (transaction: Transaction) => void
      /** Settings of its sessions. */
      readonly set: Readonly<Record<string, string>>
      /** Told how many milliseconds each thing took that it has done. */
      readonly onAct: (what: string, ms: number) => void
    },
  ): Promise<HistoryClient> {
    const { addresses, clock, tell, set } = options
    const databases = await Promise.all(
      addresses.map((address) => connect({ endpoints: [address], application: 'history', set })),
    )
    const client: HistoryClient = new HistoryClient(databases, {
      ...options,
      recorder: new Recorder(name, { clock, tell, onAttempt: () => client.#attempted() }),
    })
    return client
  }

  get token(): number {
    return this.#recorder.token
  }

  /** What it waits for, and since when on the clock's own scale, of which each attempt counts by itself. */
  get acts(): { readonly what: string; readonly since: number } | undefined {
    return this.#acts
  }

  /** Works until it is told to stop. */
  async work(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const what = this.#prng.pick(ACTIONS)
      const since = this.#clock.now()
      this.#acts = { what, since }
      const end = await this.#act(what, this.#prng.pick(this.#databases))
      this.#acts = undefined
      this.#onAct(what, this.#clock.now() - since)
      if (end !== 'committed') await this.#clock.sleep(AFTER_FAILURE_MS)
    }
  }

  /** One that others were faster than is tried anew: it waits for something else. */
  #attempted(): void {
    if (this.#acts !== undefined) this.#acts = { ...this.#acts, since: this.#clock.now() }
  }

  async close(): Promise<void> {
    await Promise.all(this.#databases.map((db) => db.close()))
  }

  #act(action: Action, db: Database): Promise<Transaction['end']> {
    const recorder = this.#recorder
    switch (action) {
      case 'add':
        return recorder.run(db, action, (session, did) => this.#add(session, did))
      case 'readSets':
        return recorder.run(db, action, (session, did) => this.#readSets(session, did))
      case 'range':
        return this.#extendRange(db)
      case 'readRanges':
        return recorder.run(db, action, (session, did) => this.#readRanges(session, did))
      case 'sets':
        return recorder.run(db, action, (session, did) => this.#changeSets(session, did))
      case 'lists':
        return recorder.transaction(db, action, (session, did) => this.#changeLists(session, did))
      case 'transfer':
        return recorder.transaction(db, action, (session, did) => this.#transfer(session, did))
      case 'readAccounts':
        return recorder.run(db, action, async (session, did) => {
          did.push(accountsIn((await session.query(ACCOUNTS_SQL)).rows))
        })
      case 'turnRing':
        return recorder.transaction(db, action, (session, did) => this.#turnRing(session, did))
      case 'readRing':
        return recorder.run(db, action, async (session, did) => {
          did.push(ringIn((await session.query(RING_SQL)).rows))
        })
    }
  }

  async #add(session: Session, did: Operation[]): Promise<void> {
    const database = this.#prng.pick(DATABASES)
    const [set, value] = [this.#keys.set(database, this.#prng), this.#keys.nextValue()]
    did.push({ kind: 'add', key: `${database} ${set}`, values: [value] })
    await session.execute(`INSERT INTO ${database}.sets VALUES (${set}, ${value})`)
  }

  async #readSets(session: Session, did: Operation[]): Promise<void> {
    const open = { default: this.#keys.openSets('default'), other: this.#keys.openSets('other') }
    const where = { default: `k IN (${open.default.join()})`, other: `k IN (${open.other.join()})` }
    const { rows } = await session.query(setsSql('sets', where))
    const keys = DATABASES.flatMap((name) => open[name].map((set) => `${name} ${set}`))
    did.push(...setsIn(rows, '', keys))
  }

  /** Each client writes ranges of its own, and goes on only with one of which it knows all. */
  async #extendRange(db: Database): Promise<Transaction['end']> {
    if (this.#range.next >= RANGE_VALUES) {
      const database = this.#prng.pick(DATABASES)
      this.#range = { database, number: this.#keys.nextRange(), next: 0 }
    }
    const { database, number, next } = this.#range
    const values = Array.from({ length: 1 + this.#prng.below(5) }, (_, i) => next + i)
    const end = await this.#recorder.run(db, 'range', async (session, did) => {
      did.push({ kind: 'add', key: `${CONTIGUOUS}${database} ${number}`, values })
      const rows = values.map((value) => `(${number}, ${value})`).join(', ')
      await session.execute(`INSERT INTO ${database}.ranges VALUES ${rows}`)
    })
    this.#range.next = end === 'committed' ? next + values.length : RANGE_VALUES
    return end
  }

  /** Its own range. */
  async #readRanges(session: Session, did: Operation[]): Promise<void> {
    const { database, number } = this.#range
    const where = { default: 'false', other: 'false', [database]: `k = ${number}` }
    const { rows } = await session.query(setsSql('ranges', where))
    did.push(...setsIn(rows, CONTIGUOUS, []))
  }

  /** Reads and writes of sets in both databases; some are rolled back. */
  async #changeSets(session: Session, did: Operation[]): Promise<void> {
    await session.execute('BEGIN')
    await this.#readSets(session, did)
    await this.#add(session, did)
    await this.#add(session, did)
    if (this.#prng.chance(0.5)) await this.#readSets(session, did)
    if (this.#prng.chance(0.2)) {
      await session.execute('ROLLBACK')
      throw new WantsRollback()
    }
    const { command } = await session.execute('COMMIT')
    if (command !== 'COMMIT') throw new Error(`COMMIT ended with ${command}`)
  }

  async #changeLists(session: Session, did: Operation[]): Promise<void> {
    const list = this.#keys.list(this.#prng)
    for (const database of this.#prng.shuffle(DATABASES)) {
      const key = `list ${database} ${list}`
      const of = `${database}.lists WHERE k = ${list}`
      const { rows } = await session.query(`SELECT list FROM ${of}`)
      did.push({ kind: 'list', key, values: listValues(rows) })
      const value = this.#keys.nextValue()
      did.push({ kind: 'append', key, value })
      await session.execute(
        `UPDATE ${database}.lists SET list = list || ',${value}' WHERE k = ${list}`,
      )
    }
  }

  async #transfer(session: Session, did: Operation[]): Promise<void> {
    const read = accountsIn((await session.query(ACCOUNTS_SQL)).rows)
    did.push(read)
    const [payer = '', payee = ''] = this.#prng.shuffle(ACCOUNTS)
    const amount = this.#prng.below((read.balances[payer] ?? 0) + 1)
    for (const [name, change] of [
      [payer, `- ${amount}`],
      [payee, `+ ${amount}`],
    ] as const) {
      const [database = ''] = name.split(' ')
      await session.execute(
        `UPDATE ${database}.accounts SET balance = balance ${change} WHERE name = '${name}'`,
      )
    }
    did.push(accountsIn((await session.query(ACCOUNTS_SQL)).rows))
  }

  /** Of a → b → c → d makes a → c → b → d. */
  async #turnRing(session: Session, did: Operation[]): Promise<void> {
    const read = ringIn((await session.query(RING_SQL)).rows)
    did.push(read)
    const follow = (id: number): number => read.next[id] ?? id
    const a = this.#prng.below(RING_SIZE)
    const [b, c] = [follow(a), follow(follow(a))]
    for (const [id, next] of [
      [a, c],
      [c, b],
      [b, follow(c)],
    ] as const) {
      await session.execute(`UPDATE ${ringTable(id)} SET next = ${next} WHERE id = ${id}`)
    }
    did.push(ringIn((await session.query(RING_SQL)).rows))
  }
}
