import { SqlError } from '@nyala/client/protocol'
import { crc32, encodeFrame } from '@nyala/client/wire'
import type { ConstantKernel, ConstantRows } from '@nyala/executor/kernel'
import { type PhysicalPlan, taskText } from '../plan/physical-plan.ts'
import { pushOwnFrames } from './own-frames.ts'
import type { StatementContext, StatementOutcome } from './statement-context.ts'

/** What is constant takes microseconds; the limit is for what nobody has thought of. */
const TIMEOUT_MS = 1_000

/** The rows of a constant plan, found at its first use and kept with it. */
export class ConstantAnswer {
  #rows: Promise<ConstantRows> | undefined

  /** Sends the rows of `plan` to the client. Fails as the task of the plan would. */
  async send(
    plan: PhysicalPlan,
    context: StatementContext,
    kernel: ConstantKernel,
  ): Promise<StatementOutcome> {
    this.#rows ??= kernel.run(constantSql(plan), {
      timeZone: context.settings.get('timezone'),
      timeoutMs: TIMEOUT_MS,
    })
    const { columns, rows, payloads } = await this.#rows.catch((error: unknown) => {
      // Another time it may come in time.
      this.#rows = undefined
      throw error
    })
    context.signal.throwIfAborted()
    const rowsMax = context.settings.number('max_rows')
    if (rowsMax > 0 && rows > rowsMax) {
      throw new SqlError(
        'configuration_limit_exceeded',
        `the result has more than ${rowsMax} rows`,
        {
          hint: 'add LIMIT, or raise the setting max_rows',
        },
      )
    }
    context.onColumns(columns)
    // The relay writes numbers into what it is given.
    const messages = payloads.map(({ kind, bytes }, sequence) =>
      encodeFrame({ kind, last: false, call: 0, sequence, crc: crc32(bytes), payload: bytes }),
    )
    pushOwnFrames(context.relay, messages, rows)
    await context.relay.empty()
    return { command: 'SELECT', rows }
  }
}

function constantSql(plan: PhysicalPlan): string {
  const [fragment] = plan.fragments
  if (fragment === undefined || plan.fragments.length > 1)
    throw new Error('a constant plan has one fragment')
  return taskText(plan, fragment, { kind: 'all' })
}
