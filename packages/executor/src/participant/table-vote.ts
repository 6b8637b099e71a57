import { failpoint } from '@nyala/client/base'
import { SqlError } from '@nyala/client/protocol'
import { toTaskError } from '../kernel/kernel-errors.ts'
import type { TableFile } from '../protocol/index.ts'
import { type DescribeWritten, removeWritten, tableFilesOf } from '../task/table-output.ts'
import {
  onParticipant,
  type ParticipantEffect,
  type ParticipantEvent,
  type ParticipantState,
  STAGING,
} from './participant.ts'

export interface TableVoteOptions {
  readonly describeWritten: DescribeWritten
  /** The task ends with these files of the table. */
  yes(files: readonly TableFile[]): void
  /** The task fails; nothing of what it wrote is left, as far as it could be removed. */
  no(reason: SqlError): void
}

/** Carries out what {@link onParticipant} says for one task that writes files of a table. */
export class TableVote {
  readonly #options: TableVoteOptions
  #state: ParticipantState = STAGING
  #endReason: SqlError | undefined

  constructor(options: TableVoteOptions) {
    this.#options = options
    failpoint('prepare.received')
  }

  on(event: ParticipantEvent<SqlError>): void {
    if (event.kind === 'ended') this.#endReason ??= event.reason
    const [state, effect] = onParticipant(this.#state, event)
    this.#state = state
    if (effect !== undefined) this.#carryOut(effect)
  }

  #carryOut(effect: ParticipantEffect<SqlError>): void {
    const { describeWritten, yes, no } = this.#options
    switch (effect.kind) {
      case 'check':
        tableFilesOf(effect.files, describeWritten).then(
          (files) => this.on({ kind: 'agreed', files }),
          (error: unknown) => this.on({ kind: 'disagreed', reason: toTaskError(error) }),
        )
        return
      case 'voteYes':
        failpoint('prepare.voting')
        yes(effect.files)
        failpoint('prepare.voted')
        return
      case 'voteNo': {
        const reason = effect.reason ?? this.#endReason ?? canceled()
        if (effect.remove.length === 0) return no(reason)
        void removeWritten(effect.remove).then(() => no(reason))
      }
    }
  }
}

const canceled = (): SqlError => new SqlError('query_canceled', 'the task was canceled')
