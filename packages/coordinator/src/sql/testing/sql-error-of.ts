import { SqlError } from '@nyala/client/protocol'

/** The SqlError that `action` ends with; anything else, success included, fails the test. */
export async function sqlErrorOf(action: () => unknown): Promise<SqlError> {
  try {
    await action()
  } catch (error) {
    if (error instanceof SqlError) return error
    throw error
  }
  throw new Error('expected an SqlError, but the action succeeded')
}
