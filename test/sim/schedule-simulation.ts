import { Prng } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { ManualClock } from '@nyala/metastore/memory'
import { MemoryFiles } from './memory-files.ts'
import { SimClient, type SimResult } from './sim-client.ts'
import {
  type SimCoordinator,
  type SimExecutor,
  type SimWorld,
  type StartedAttempt,
  startCoordinator,
  startExecutor,
} from './sim-members.ts'
import { FILES_MAX, type SimPlan, simPlan } from './sim-plan.ts'
import { SimRecords } from './sim-query.ts'
import { SimSockets } from './sim-sockets.ts'

const COORDINATORS = ['c1', 'c2']
const EXECUTORS = ['e1', 'e2', 'e3']
/** Faults come within the life of a query, and pass. */
const FAULTS_MAX = 3
const FAULT_WITHIN_MS = 220
/** A query that has not ended by then never will. */
const ANSWER_MS = 90_000
/** Longer than executors keep what nobody asks for. */
const TIDY_MS = 60_000
const LOST_MS = 2_000
/** How often there are other queries beside the one; seeds of which something is known have none. */
const NEIGHBOURS = { chance: 0.4, most: 3, salt: 11 }

const FAULTS = [
  'killExecutor',
  'killExecutor',
  'pauseExecutor',
  'failTask',
  'loseSegments',
  'cutExecutors',
  'resetLink',
  'cutFromCoordinator',
  'coordinator',
  'coordinator',
  'cancel',
] as const
type Fault = (typeof FAULTS)[number]

export interface ScheduleReport {
  readonly violations: readonly string[]
  readonly story: readonly string[]
  readonly completed: number
  readonly failed: number
  /** Attempts that were begun beyond the first of each task. */
  readonly reruns: number
  readonly takeovers: number
  readonly disordered: number
}

/**
 * One query, or some, at two coordinators and three executors, while members die, hang and come back, tasks fail, segments vanish
 * and messages come late, twice or out of order. The code is that of the product, from the placement of tasks to the
 * buffers of results; what is simulated are processes, sockets, disks, kernels and the client's call. The client must get
 * every row once, or what it asked for: an end. Nothing may be left then. The same seed gives the same run.
 */
export class ScheduleSimulation {
  readonly #seed: number
  readonly #prng: Prng
  readonly #clock = new ManualClock()
  readonly #sockets: SimSockets
  readonly #world: SimWorld
  readonly #records = new SimRecords()
  readonly #coordinators: SimCoordinator[] = []
  readonly #executors = new Map<string, SimExecutor>()
  readonly #disks = new Map(EXECUTORS.map((id) => [id, new MemoryFiles()]))
  readonly #violations: string[] = []
  readonly #story: string[] = []
  readonly #faults: Fault[]
  readonly #hasDisorder: boolean
  #incarnation = 0
  #client: SimClient | undefined
  readonly #neighbours: SimClient[] = []
  #resets = 0
  #isCanceled = false
  readonly #attempts = new AttemptLog((sentence) => this.#violation(sentence))

  constructor(seed: number, { tells }: { readonly tells: boolean }) {
    this.#seed = seed
    this.#prng = new Prng(seed)
    this.#sockets = new SimSockets(this.#clock, new Prng(seed + 1))
    const story = this.#story
    const clock = this.#clock
    this.#world = {
      clock,
      prng: this.#prng,
      sockets: this.#sockets,
      coordinators: COORDINATORS,
      isUnordered: this.#prng.chance(0.05),
      onStart: (executor, task) => this.#attempts.onStart(executor, task),
      tell(line) {
        if (tells) story.push(`${clock.now() - 1000} ms ${line}`)
      },
    }
    this.#hasDisorder = this.#prng.chance(0.25)
    this.#faults = Array.from({ length: this.#prng.below(FAULTS_MAX + 1) }, () =>
      this.#prng.pick(FAULTS),
    )
  }

  async run(): Promise<ScheduleReport> {
    const result = await this.#clock.run(this.#run(), 10_000_000)
    return {
      violations: this.#violations,
      story: this.#story,
      completed: result?.error === undefined ? 1 : 0,
      failed: result?.error === undefined ? 0 : 1,
      reruns: this.#attempts.reruns,
      takeovers: result?.moves ?? 0,
      disordered: this.#sockets.disordered,
    }
  }

  async #run(): Promise<SimResult | undefined> {
    for (const id of COORDINATORS) this.#coordinators.push(startCoordinator(this.#world, id))
    const slow = this.#prng.chance(0.2) ? this.#prng.pick(EXECUTORS) : undefined
    for (const id of EXECUTORS) await this.#startExecutor(id, id === slow ? 8 : 1)
    await this.#clock.sleep(20)
    if (this.#hasDisorder) {
      this.#sockets.disorder = { double: 0.15, swap: 0.1, corrupt: 0, truncate: 0 }
    }
    const plan = simPlan(this.#prng)
    const client = this.#startClient('q', { plan, prng: this.#prng })
    this.#client = client
    for (const fault of this.#faults) {
      this.#clock.after(this.#prng.below(FAULT_WITHIN_MS), () => this.#strike(fault))
    }
    const neighbours = this.#startNeighbours()
    const timeout = this.#clock.sleep(ANSWER_MS).then(() => undefined)
    const result = await Promise.race([client.result, timeout])
    this.#judge(result, plan.rows, { isCanceled: this.#isCanceled })
    for (const { rows, ended } of neighbours) {
      this.#judge(await Promise.race([ended, timeout]), rows, { isCanceled: false })
    }
    this.#sockets.healAll()
    await this.#settle()
    this.#stop()
    return result
  }

  #startClient(name: string, { plan, prng }: { plan: SimPlan; prng: Prng }): SimClient {
    return new SimClient({
      ...{ world: this.#world, plan, records: this.#records, name },
      coordinators: () => this.#coordinators.filter(({ process }) => process.isRunning),
      registered: () => this.#living().map(({ id }) => id),
      thinkMs: prng.pick([0, 10, 60, 200]),
      violation: (sentence) => this.#violation(sentence),
    })
  }

  /** Queries over other files, which begin while the first one runs: nobody may get a row of another. */
  #startNeighbours(): readonly { readonly rows: readonly number[]; ended: Promise<SimResult> }[] {
    const prng = new Prng(this.#seed + NEIGHBOURS.salt)
    const count = prng.chance(NEIGHBOURS.chance) ? 1 + prng.below(NEIGHBOURS.most) : 0
    for (let i = 0; i < count; i++) {
      const ms = prng.below(FAULT_WITHIN_MS)
      const pair = [prng.pick(EXECUTORS), prng.pick(COORDINATORS)] as const
      this.#clock.after(ms, () => this.#reset(...pair))
    }
    return Array.from({ length: count }, (_, i) => {
      const plan = simPlan(prng, (i + 1) * FILES_MAX)
      const start = async (): Promise<SimResult> => {
        await this.#clock.sleep(prng.below(FAULT_WITHIN_MS))
        const client = this.#startClient(`n${i}`, { plan, prng })
        this.#neighbours.push(client)
        return client.result
      }
      return { rows: plan.rows, ended: start() }
    })
  }

  async #startExecutor(id: string, slowness: number): Promise<void> {
    const disk = this.#disks.get(id)
    if (disk === undefined) throw new Error('every executor has a disk')
    const incarnation = ++this.#incarnation
    this.#tell(`${id} starts as ${incarnation}`)
    this.#executors.set(id, await startExecutor(this.#world, id, { incarnation, slowness, disk }))
  }

  #living(): readonly SimExecutor[] {
    return [...this.#executors.values()].filter(({ process }) => !process.isDead)
  }

  #strike(fault: Fault): void {
    const executor = this.#prng.pick(EXECUTORS)
    const ms = this.#prng.below(6_000)
    this.#tell(`fault: ${fault} ${executor} ${ms}`)
    const one = this.#executors.get(executor)
    switch (fault) {
      case 'killExecutor':
        return this.#killExecutor(executor, ms / 4)
      case 'pauseExecutor':
        one?.process.pause()
        return void this.#clock.after(ms, () => one?.process.resume())
      case 'failTask':
        return void one?.failures.push(this.#taskError())
      case 'loseSegments':
        return void one?.files.remove(`/x/${executor}`)
      case 'cutExecutors':
        return this.#cut(executor, this.#prng.pick(EXECUTORS.filter((id) => id !== executor)), ms)
      case 'resetLink':
        return this.#reset(executor, this.#prng.pick(COORDINATORS))
      case 'cutFromCoordinator':
        return this.#cut(executor, this.#prng.pick(COORDINATORS), ms)
      case 'coordinator':
        return this.#strikeCoordinator(ms)
      case 'cancel':
        this.#isCanceled = true
        return this.#client?.cancel()
    }
  }

  #reset(executor: string, coordinator: string): void {
    this.#resets++
    this.#sockets.reset(executor, coordinator)
  }

  #taskError(): SqlError {
    return new SqlError(this.#prng.pick(['io_error', 'kernel_crashed', 'disk_full']), 'simulated')
  }

  #killExecutor(id: string, restartMs: number): void {
    const executor = this.#executors.get(id)
    if (executor === undefined || executor.process.isDead) return
    executor.process.kill()
    this.#sockets.onKilled(executor)
    this.#clock.after(restartMs, () => void this.#startExecutor(id, 1))
  }

  #cut(one: string, other: string, ms: number): void {
    this.#sockets.cut(one, other)
    this.#clock.after(ms, () => this.#sockets.heal(one, other))
  }

  /** The one that serves the client dies or hangs, where there is another. */
  #strikeCoordinator(ms: number): void {
    const victim = this.#client?.coordinator ?? this.#coordinators[0]
    const others = this.#coordinators.filter(({ process }) => process.isRunning)
    if (victim === undefined || others.length < 2 || !victim.process.isRunning) return
    const lost = (): void => {
      for (const client of [this.#client, ...this.#neighbours]) client?.onLost(victim)
    }
    if (this.#prng.chance(0.6)) {
      this.#tell(`${victim.id} dies`)
      victim.process.kill()
      this.#sockets.onKilled(victim)
      this.#clock.after(this.#prng.below(5), lost)
      return
    }
    this.#tell(`${victim.id} hangs`)
    victim.process.pause()
    this.#clock.after(LOST_MS, () => {
      if (victim.process.isPaused) lost()
    })
    // It wakes at any time, or just when another one goes on in its place.
    const wakesMs = this.#prng.chance(0.5) ? ms : LOST_MS + ms / 10
    this.#clock.after(wakesMs, () => victim.process.resume())
  }

  #judge(
    result: SimResult | undefined,
    rows: readonly number[],
    how: { readonly isCanceled: boolean },
  ): void {
    if (result === undefined) return this.#violation(`no answer in ${ANSWER_MS} ms`)
    const { error } = result
    this.#tell(`the client has ${result.rows.length} rows, ${error?.error ?? 'all'}`)
    const got = result.rows.toSorted((a, b) => a - b)
    got.forEach((row, i) => {
      if (row === got[i - 1]) this.#violation(`row ${row} came twice`)
    })
    if (error !== undefined) {
      if (!this.#isAllowed(error, { ...how, moves: result.moves }))
        this.#violation(`${error.error}: ${error.message}`)
      return
    }
    if (got.length !== rows.length || got.some((row, i) => row !== rows[i])) {
      this.#violation(`${got.length} rows came of ${rows.length}`)
    }
  }

  /** What a client may be told, by the faults there were: all else is to be hidden from it. */
  #isAllowed(
    { error, message }: SqlError,
    { moves, isCanceled }: { readonly moves: number; readonly isCanceled: boolean },
  ): boolean {
    const count = (...faults: readonly Fault[]): number =>
      this.#faults.filter((fault) => faults.includes(fault)).length
    const losses =
      this.#resets + count('killExecutor', 'pauseExecutor', 'cutFromCoordinator', 'cutExecutors')
    const lostSegments = count('loseSegments')
    if (error === 'query_canceled') return isCanceled
    if (error === 'result_lost') return this.#world.isUnordered
    if (error === 'disk_full' || error === 'query_quarantined') return count('failTask') > 1
    // Who took a result over does not make segments again.
    if (error === 'executor_lost' && moves > 0) return losses + lostSegments > 0
    // Vanished segments fail a task twice before they are made again.
    const failures = losses + count('failTask') + 2 * lostSegments + (this.#hasDisorder ? 1 : 0)
    return message.includes('failed 4 times') && failures >= 4
  }

  /** All that runs, is reserved or is kept of the query goes. */
  async #settle(): Promise<void> {
    const end = this.#clock.now() + TIDY_MS
    let left = this.#left()
    for (let pause = 50; left.length > 0 && this.#clock.now() < end; pause *= 2) {
      await this.#clock.sleep(Math.min(pause, 2_000))
      left = this.#left()
    }
    for (const what of left) this.#violation(`left after ${TIDY_MS} ms: ${what}`)
  }

  #left(): readonly string[] {
    const left: string[] = []
    for (const { id, tasks, files } of this.#living()) {
      const { tasksRunning, memoryReservedBytes, queuedBytes, exchangeBytes } = tasks.load()
      const load = { tasksRunning, memoryReservedBytes, queuedBytes, exchangeBytes }
      for (const [name, count] of Object.entries(load)) {
        if (count !== 0) left.push(`${name} ${count} on ${id}`)
      }
      for (const path of files.paths) left.push(path)
    }
    for (const { id, process, executors } of this.#coordinators) {
      if (process.isDead) continue
      for (const link of executors.links()) {
        if (link.tasksRunning > 0) left.push(`${link.tasksRunning} tasks of ${link.id} at ${id}`)
      }
    }
    if (this.#coordinators.every(({ process }) => !process.isDead) && this.#records.size > 0) {
      left.push('a record')
    }
    return left
  }

  #stop(): void {
    for (const { process } of [...this.#coordinators, ...this.#executors.values()]) process.kill()
  }

  #violation(sentence: string): void {
    this.#tell(`VIOLATION: ${sentence}`)
    this.#violations.push(sentence)
  }

  #tell(line: string): void {
    this.#world.tell(line)
  }
}

/** Which attempts were begun, and where: a number is given to one attempt of a task, on one executor. */
class AttemptLog {
  readonly #violation: (sentence: string) => void
  readonly #places = new Map<string, string>()
  reruns = 0

  constructor(violation: (sentence: string) => void) {
    this.#violation = violation
  }

  onStart(executor: string, { queryId, task, attempt }: StartedAttempt): void {
    if (attempt > 0) this.reruns++
    const key = `${queryId}/${task}/${attempt}`
    const known = this.#places.get(key)
    if (known !== undefined) this.#violation(`attempt ${key} began at ${known} and at ${executor}`)
    this.#places.set(key, executor)
  }
}
