import type { Log } from '@nyala/client/base'
import type { BegunWrite, CatalogPlan, PlanContext } from '@nyala/metastore'
import type { TableChange } from './change.ts'
import type { Committer, CommitRequest } from './committer.ts'
import type { StagedFiles } from './staging.ts'
import type { Done, Executed, StagedRequest, StagedWrite } from './write-run.ts'

export interface AttemptOptions {
  readonly committer: Committer
  readonly files: StagedFiles
  readonly log: Log
}

/** One run of a statement that stages files: what it commits, and what it removes of attempts that came to nothing. */
export class StagedAttempt implements StagedWrite {
  readonly #options: AttemptOptions
  readonly #request: StagedRequest
  readonly #begun: BegunWrite
  query: Parameters<StagedWrite['ran']>[0] | undefined

  constructor(options: AttemptOptions, request: StagedRequest, begun: BegunWrite) {
    this.#options = options
    this.#request = request
    this.#begun = begun
  }

  get id(): string {
    return this.#begun.record.id
  }

  ran(query: Parameters<StagedWrite['ran']>[0]): void {
    this.query = query
  }

  update(change: TableChange, { rows }: { readonly rows: number | null }): Promise<Done> {
    const tidied: TableChange = {
      ...change,
      apply: async (current, attempt) => {
        // What came to nothing goes before this one is decided: with that goes the record by which others would find it.
        await this.#dropOvertaken(attempt)
        return change.apply(current, attempt)
      },
    }
    return this.#options.committer.update(tidied, this.#commit(rows))
  }

  execute<T>(
    plan: (context: PlanContext) => CatalogPlan<T>,
    { rows }: { readonly rows: number | null },
  ): Promise<Executed<T>> {
    return this.#options.committer.execute(this.#commit(rows), plan)
  }

  async #dropOvertaken(attempt: number): Promise<void> {
    const { files, log } = this.#options
    const { id, locations } = this.#begun.record
    const paths = this.query?.files.map((file) => file.path) ?? []
    const isRepeated = attempt === 0 && this.query?.repeated === true
    try {
      for (const location of locations) {
        if (attempt > 0) await files.removeAttempts(location, id, attempt)
        if (isRepeated) await files.removeUncommitted(location, id, paths)
      }
    } catch (error) {
      log.warn('stagedFilesNotRemoved', { write: id, error })
    }
  }

  #commit(rows: number | null): CommitRequest {
    const { identity, command, context } = this.#request
    context.signal.throwIfAborted()
    // What is sent to the metastore may be done: the client is told how it ended, not that it was cancelled.
    context.commit.begun = true
    const outcome = { command, rows, notices: [...context.notices] }
    const { patience } = context
    return { statement: identity, writeId: this.id, write: this.#begun, outcome, patience }
  }
}
