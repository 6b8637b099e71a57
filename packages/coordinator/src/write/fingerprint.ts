import { createHash } from 'node:crypto'
import type { SessionContext } from '@nyala/client/protocol'

/** Tells a statement from any other that was sent under the same id: its text and where its names are looked for. */
export function fingerprintOf(statement: {
  readonly sql: string
  readonly session: Pick<SessionContext, 'database'>
}): string {
  const { sql, session } = statement
  return createHash('sha256').update(`${session.database}\u0000${sql}`).digest('hex').slice(0, 32)
}
