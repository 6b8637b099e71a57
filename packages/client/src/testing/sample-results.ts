import { Int64, Table, Utf8, vectorFromArray } from 'apache-arrow'
import type { Column } from '../protocol/messages.ts'
import type { FakeAnswer } from './fake-coordinator.ts'
import { messagesOf } from './arrow-messages.ts'

/** A result of whole numbers and texts, cut into batches. `padding` makes every text longer. */
export function numbersAnswer(rows: number, batchRows: number, padding = ''): FakeAnswer {
  const columns: Column[] = [
    { name: 'n', type: 'BIGINT' },
    { name: 'text', type: 'VARCHAR' },
  ]
  const tables: Table[] = []
  for (let start = 0; start < rows || start === 0; start += batchRows) {
    const count = Math.min(batchRows, rows - start)
    const ids = Array.from({ length: count }, (_, i) => start + i)
    tables.push(
      new Table({
        n: vectorFromArray(ids.map(BigInt), new Int64()),
        text: vectorFromArray(
          ids.map((id) => `row ${id}${padding}`),
          new Utf8(),
        ),
      }),
    )
  }
  return { columns, messages: answerMessages(tables) }
}

function answerMessages(tables: readonly Table[]): Uint8Array[] {
  const [first, ...rest] = tables.map((table) => messagesOf(table))
  return [...(first ?? []), ...rest.flatMap((messages) => messages.slice(1))]
}
