import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { DecodeError, type Infer, s } from '@nyala/client/base'
import { column, SqlError } from '@nyala/client/protocol'
import { taskSpec } from '@nyala/executor/protocol'
import type { QueryRecord } from '@nyala/metastore'

/** What another coordinator has to know to go on with a result: which tasks it is made of, and how to run one again. */
export const resultPlan = s.object({
  format: s.literal(1),
  columns: s.array(column),
  /** All tasks of the result, each as its first attempt. */
  tasks: s.array(taskSpec),
  /** True where the rows of a task come before those of the next. */
  inOrder: s.optional(s.boolean),
  /** More rows fail the query; 0 for no limit. */
  rowsMax: s.natural,
})
export type ResultPlan = Infer<typeof resultPlan>

type Pointer = NonNullable<QueryRecord['plan']>

/**
 * The plans of results that stream, in files that every coordinator can read; the query's record names its file and has
 * its checksum. They are not synced: a query does not outlive a power cut, and a file that did not is found to be broken.
 */
export class ResultPlans {
  readonly #directory: string

  /** `directory` is shared by all coordinators. */
  constructor(directory: string) {
    this.#directory = join(directory, 'queries')
  }

  /** Fails with `io_error`. */
  async write(queryId: string, plan: ResultPlan): Promise<Pointer> {
    const path = join(this.#directory, `${queryId}.json`)
    const bytes = Buffer.from(JSON.stringify(plan))
    try {
      await mkdir(this.#directory, { recursive: true })
      await writeFile(`${path}.tmp`, bytes)
      await rename(`${path}.tmp`, path)
    } catch (cause) {
      throw new SqlError('io_error', `cannot write "${path}": ${(cause as Error).message}`, {
        cause,
      })
    }
    return { path, crc32: crc32(bytes), bytes: bytes.byteLength }
  }

  /** Fails with `executor_lost` where the file is not as it was written: the result cannot be gone on with. */
  async read(pointer: Pointer): Promise<ResultPlan> {
    const bytes = await readFile(pointer.path).catch((cause: unknown) => {
      throw broken(pointer, (cause as Error).message)
    })
    if (bytes.byteLength !== pointer.bytes || crc32(bytes) !== pointer.crc32) {
      throw broken(pointer, 'it does not have the checksum that the record of the query has')
    }
    try {
      return resultPlan.decode(JSON.parse(bytes.toString('utf8')), 'plan')
    } catch (error) {
      if (!(error instanceof DecodeError) && !(error instanceof SyntaxError)) throw error
      throw broken(pointer, error.message)
    }
  }

  async remove(pointer: Pointer): Promise<void> {
    await rm(pointer.path, { force: true })
  }

  /** Names of all plan files, also half written ones. Fails with `io_error`. */
  async files(): Promise<readonly string[]> {
    try {
      const names = await readdir(this.#directory)
      return names.filter((name) => /\.json(\.tmp)?$/.test(name))
    } catch (cause) {
      // It is made with the first plan.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
      const why = (cause as Error).message
      throw new SqlError('io_error', `cannot list "${this.#directory}": ${why}`, { cause })
    }
  }

  async removeFile(name: string): Promise<void> {
    await rm(join(this.#directory, name), { force: true })
  }
}

const broken = ({ path }: Pointer, why: string): SqlError =>
  new SqlError('executor_lost', `the plan of the query, "${path}", cannot be read: ${why}`, {
    hint: 'run the statement again; all coordinators need the same metadata directory',
  })
