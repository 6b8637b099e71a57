import { createInterface } from 'node:readline'
import { type ClientEvent, connect, type Database, SqlError } from '@nyala/client'
import { s, systemClock } from '@nyala/client/base'
import type { HerdConnect, HerdReturn, HerdSaid } from './herd.ts'

/**
 * Some hundreds of clients, each with a connection of its own, in one process. They do together what the lines on standard
 * input say, and a line on standard output tells what came of it. The process ends with its input.
 */
const order = s.union({
  connect: s.object({
    kind: s.literal('connect'),
    url: s.string,
    database: s.string,
    clients: s.natural,
    questions: s.array(s.object({ sql: s.string, answer: s.array(s.string) })),
  }),
  /** Every client asks so many questions, one after another. */
  ask: s.object({ kind: s.literal('ask'), times: s.natural }),
})
type Order = ReturnType<typeof order.decode>
type Question = Extract<Order, { kind: 'connect' }>['questions'][number]

let clients: readonly Database[] = []
let questions: readonly Question[] = []
let connects: HerdConnect[] = []
let returns: HerdReturn[] = []

/** The part of the calls that are answered when it is said so. */
const MIDWAY = 0.25

/** What one order came to, as it is counted. */
class Count {
  readonly tookMs: number[] = []
  readonly #errors: string[] = []
  readonly #midway: number
  failed = 0
  wrong = 0

  constructor(calls: number) {
    this.#midway = Math.ceil(calls * MIDWAY)
  }

  /** Of one call. Only typed errors are let pass. */
  async of(work: () => Promise<boolean>): Promise<void> {
    const startedMs = systemClock.now()
    try {
      if (!(await work())) this.wrong++
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      this.failed++
      this.#errors.push(`${error.error}: ${error.message}`)
    }
    this.tookMs.push(systemClock.now() - startedMs)
    if (this.tookMs.length === this.#midway) say({ kind: 'midway' })
  }

  told(): HerdSaid {
    const { tookMs, failed, wrong } = this
    const errors = this.#errors.slice(0, 3)
    return { kind: 'done', tookMs, failed, wrong, errors, connects, returns }
  }
}

function say(said: HerdSaid): void {
  process.stdout.write(`${JSON.stringify(said)}\n`)
}

async function carryOut(given: Order): Promise<void> {
  connects = []
  returns = []
  if (given.kind === 'connect') {
    questions = given.questions
    const count = new Count(given.clients)
    const opened: Database[] = []
    await all(given.clients, () =>
      count.of(async () => {
        opened.push(await open(given.url, given.database))
        return true
      }),
    )
    clients = opened
    return say(count.told())
  }
  const count = new Count(clients.length * given.times)
  await all(clients.length, async (i) => {
    const client = clients[i]
    for (let n = 0; n < given.times; n++) {
      await count.of(() => isAnswered(client, questions[(i + n) % questions.length]))
    }
  })
  say(count.told())
}

const open = (url: string, database: string): Promise<Database> =>
  connect({ url, database, onEvent: noteConnections() })

/** Of one client: what it connects to, and whom it dials first when it has lost that. */
function noteConnections(): (event: ClientEvent) => void {
  let lost: { readonly coordinator: string; readonly address: string } | undefined
  return (event) => {
    const wallMs = systemClock.wall()
    if (event.kind === 'disconnected') lost = event
    if (event.kind === 'connected') connects.push({ wallMs, coordinator: event.coordinator })
    if (event.kind !== 'connected' && event.kind !== 'unreachable') return
    const { address } = event
    if (lost !== undefined && address !== lost.address) {
      returns.push({ wallMs, from: lost.coordinator, to: address })
    }
    // One that finds the lost one gone has yet to come to another.
    if (event.kind === 'connected' || address !== lost?.address) lost = undefined
  }
}

async function isAnswered(
  client: Database | undefined,
  question: Question | undefined,
): Promise<boolean> {
  if (client === undefined || question === undefined) throw new Error('nobody has connected yet')
  const { rows } = await client.query(question.sql)
  const got = rows.map((row) => String(row['answer'])).toSorted()
  return got.join('\n') === question.answer.join('\n')
}

const all = (count: number, work: (i: number) => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)))

for await (const line of createInterface({ input: process.stdin })) {
  await carryOut(order.decode(JSON.parse(line), 'order'))
}
await Promise.all(clients.map((client) => client.close()))
