import { crc32 } from 'node:zlib'
import { Prng, silentLog } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import {
  DataPortConnection,
  SegmentPuller,
  SegmentStore,
  type Segment,
} from '@nyala/executor/testing'
import { ManualClock } from '@nyala/metastore/memory'
import { MemoryFiles } from './memory-files.ts'
import { SimProcess } from './sim-process.ts'
import { type SimHost, SimSockets } from './sim-sockets.ts'

const PRODUCERS = ['p1', 'p2']
const QUERY = 'q'
const CLUSTER = 'sim'
/** A segment is several frames, and a window some of them, so that credit runs out. */
const FRAME_BYTES = 256
const WINDOW_BYTES = 700
const SEGMENT_BYTES_MAX = 3_000
const SEGMENTS_MAX = 5
const READERS = 3
/** Times that a task is tried whose pull fails. */
const TRIES = 4
const ANSWER_MS = 60_000
/** Times that a segment is asked for whose frames come out of their order. */
const COPIES_MAX = 3
/** Far longer than pings are missed for. */
const LONG_MS = 1_000_000

const TROUBLES = ['none', 'disorder', 'damage', 'loss'] as const
type Trouble = (typeof TROUBLES)[number]

export interface ExchangeReport {
  readonly violations: readonly string[]
  readonly story: readonly string[]
  /** Pulls that gave all segments, and those that ended in an error. */
  readonly pulled: number
  readonly failed: number
  readonly disordered: number
}

interface Producer extends SimHost {
  readonly files: MemoryFiles
  readonly store: SegmentStore
}

/**
 * Tasks of one executor that pull the segments of two others, while frames come twice, late, out of order, cut or with
 * other bytes, sockets break and producers die or hang. What a pull gives must be what was written, bit for bit; a pull
 * that gives nothing says why, in time; and nothing stays counted once the query is over. Where nothing but the order of
 * messages is disturbed no pull may fail.
 */
export class ExchangeSimulation {
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #sockets: SimSockets
  readonly #trouble: Trouble
  readonly #producers: Producer[] = []
  readonly #segments: Segment[] = []
  readonly #written = new Map<string, Uint8Array>()
  readonly #files = new MemoryFiles()
  readonly #violations: string[] = []
  readonly #story: string[] = []
  #pulled = 0
  #failed = 0

  constructor(seed: number) {
    this.#prng = new Prng(seed)
    this.#sockets = new SimSockets(this.#clock, new Prng(seed + 1))
    this.#trouble = this.#prng.pick(TROUBLES)
  }

  async run(): Promise<ExchangeReport> {
    await this.#clock.run(this.#run(), 10_000_000)
    return {
      violations: this.#violations,
      story: this.#story,
      pulled: this.#pulled,
      failed: this.#failed,
      disordered: this.#sockets.disordered,
    }
  }

  async #run(): Promise<void> {
    this.#story.push(`trouble: ${this.#trouble}`)
    for (const id of PRODUCERS) this.#producers.push(await this.#startProducer(id))
    const host: SimHost = { id: 'r', process: new SimProcess(this.#clock) }
    const place = { executor: 'r', address: 'r:data', host: 'r' }
    const store = await SegmentStore.open('/x', place, Number.POSITIVE_INFINITY, this.#files)
    const { clock } = host.process
    const puller = new SegmentPuller({
      ...{ store, clock, log: silentLog, cluster: CLUSTER, files: this.#files },
      dial: this.#sockets.dialFrom(host),
      windowBytes: WINDOW_BYTES,
    })
    for (let i = 0; i <= this.#prng.below(SEGMENTS_MAX); i++) this.#write(i)
    this.#begin()
    const readers = Array.from({ length: READERS }, (_, i) => this.#read(puller, i))
    const timeout = this.#clock.sleep(ANSWER_MS).then(() => 'late' as const)
    const answer = await Promise.race([Promise.all(readers), timeout])
    if (answer === 'late') this.#violation(`no answer in ${ANSWER_MS} ms`)
    this.#sockets.healAll()
    await puller.forget(QUERY)
    await store.deleteQuery(QUERY)
    await this.#clock.sleep(3_000)
    if (store.usedBytes !== 0) this.#violation(`${store.usedBytes} bytes are counted in the end`)
    for (const path of this.#files.paths) this.#violation(`${path} is left`)
    await puller.close()
    for (const { process } of [host, ...this.#producers]) process.kill()
  }

  async #startProducer(id: string): Promise<Producer> {
    const host: SimHost = { id, process: new SimProcess(this.#clock) }
    const files = new MemoryFiles()
    const address = `${id}:data`
    const place = { executor: id, address, host: id }
    const store = await SegmentStore.open('/x', place, Number.POSITIVE_INFINITY, files)
    const { clock } = host.process
    this.#sockets.listen(address, host, (transport) => {
      new DataPortConnection(transport, {
        ...{ store, files, clock, log: silentLog, cluster: CLUSTER, executor: id },
        tasks: noTasks,
        frameBytes: FRAME_BYTES,
      })
    })
    return { ...host, files, store }
  }

  #write(n: number): void {
    const { id, files, store } = this.#prng.pick(this.#producers)
    const ref = { queryId: QUERY, task: n, attempt: 0 }
    const path = `${store.attemptDirectory(ref)}/0-p0.parquet`
    const bytes = Buffer.alloc(this.#prng.below(SEGMENT_BYTES_MAX))
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.#prng.below(256)
    files.put(path, bytes)
    this.#written.set(`${id}${path}`, bytes)
    this.#segments.push({
      ...{ executor: id, address: `${id}:data`, host: id, path, partition: 0, rows: 1 },
      bytes: bytes.length,
      crc: crc32(bytes),
    })
  }

  /** What goes wrong goes wrong while segments are pulled, and for a while. */
  #begin(): void {
    const none = { double: 0, swap: 0, corrupt: 0, truncate: 0 }
    const prng = this.#prng
    if (this.#trouble === 'disorder')
      this.#sockets.disorder = { ...none, double: 0.2, swap: 0.1, swapsMax: COPIES_MAX - 1 }
    if (this.#trouble === 'damage')
      this.#sockets.disorder = { ...none, corrupt: 0.05, truncate: 0.05 }
    if (this.#trouble !== 'loss') return
    const producer = prng.pick(this.#producers)
    this.#clock.after(prng.below(60), () => this.#lose(producer))
  }

  #lose(producer: Producer): void {
    const ms = this.#prng.chance(0.3) ? LONG_MS : this.#prng.below(5_000)
    switch (this.#prng.below(4)) {
      case 0:
        this.#story.push(`${producer.id} dies`)
        producer.process.kill()
        return this.#sockets.onKilled(producer)
      case 1:
        this.#story.push(`${producer.id} hangs for ${ms} ms`)
        producer.process.pause()
        return void this.#clock.after(ms, () => producer.process.resume())
      case 2:
        this.#story.push(`${producer.id} is cut off for ${ms} ms`)
        this.#sockets.cut('r', producer.id)
        return void this.#clock.after(ms, () => this.#sockets.heal('r', producer.id))
      default:
        this.#story.push(`the socket to ${producer.id} breaks`)
        return this.#sockets.reset('r', producer.id)
    }
  }

  /** A task that reads all segments, and is tried again as tasks are. */
  async #read(puller: SegmentPuller, reader: number): Promise<void> {
    const spec = { queryId: QUERY, inputs: [{ exchange: 0, segments: this.#segments }] }
    const { signal } = new AbortController()
    for (let attempt = 0; attempt < TRIES; attempt++) {
      await this.#clock.sleep(this.#prng.below(30))
      try {
        const [input] = await puller.pull(spec, { signal })
        this.#pulled++
        return this.#check(reader, input?.paths ?? [])
      } catch (error) {
        this.#failed++
        this.#onFailed(reader, error)
      }
    }
  }

  #check(reader: number, paths: readonly string[]): void {
    this.#segments.forEach(({ executor, path }, i) => {
      const got = this.#files.get(paths[i] ?? '')
      const wanted = this.#written.get(`${executor}${path}`)
      if (got === undefined) return this.#violation(`reader ${reader} was given no file`)
      if (wanted === undefined || Buffer.compare(got, wanted) !== 0) {
        this.#violation(`reader ${reader} was given other bytes of ${executor}${path}`)
      }
    })
  }

  #onFailed(reader: number, error: unknown): void {
    if (!(error instanceof SqlError)) throw error
    this.#story.push(`reader ${reader}: ${error.message}`)
    const isOrderly = this.#trouble === 'none' || this.#trouble === 'disorder'
    if (isOrderly) this.#violation(`reader ${reader}: ${error.message}`)
    if (error.error !== 'executor_lost') this.#violation(`${error.error}: ${error.message}`)
  }

  #violation(sentence: string): void {
    this.#story.push(`VIOLATION: ${sentence}`)
    this.#violations.push(sentence)
  }
}

/** Nobody asks for results here. */
const noTasks = {
  attach: (): SqlError => new SqlError('executor_lost', 'there are no results'),
  pump: (): void => undefined,
}
