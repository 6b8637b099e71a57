import type { Clock } from '@nyala/client/base'
import type { Sample } from '@nyala/deploy'
import type { Measurement } from './measurement.ts'
import { openWorld, type World } from './world.ts'

export interface BenchOptions {
  readonly clock: Clock
  readonly sample: Sample
  readonly scaleFactor: number
  /** Threads of an executor, and of DuckDB alone. */
  readonly threads: number
  /** Times that each query is measured. */
  readonly runs: number
  /** The numbers of the queries of TPC-H that are run; absent for all. */
  readonly queries?: readonly number[]
  /** How long what takes a given time goes on. */
  readonly minutes: number
  readonly print: (line: string) => void
  readonly variables: Readonly<Record<string, string | undefined>>
}

/** What a part gives: its numbers, and where there is more to see a table of them. */
export interface PartResult {
  readonly measurements: readonly Measurement[]
  readonly table?: Table
}

export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export type Part = (bench: Bench) => Promise<PartResult>

/** What the parts are given: options, and a cluster of one executor for those that need no more. */
export class Bench implements AsyncDisposable {
  readonly options: BenchOptions
  #world: Promise<World> | undefined

  constructor(options: BenchOptions) {
    this.options = options
  }

  /** One coordinator, one executor and DuckDB with all threads; opened when it is first asked for. */
  world(): Promise<World> {
    this.#world ??= openWorld(this.options)
    return this.#world
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#world)?.[Symbol.asyncDispose]()
  }
}

/** A part that needs the shared world alone, and has no table. */
export const inSharedWorld =
  (measure: (world: World) => Promise<readonly Measurement[]>): Part =>
  async (bench) => ({ measurements: await measure(await bench.world()) })
