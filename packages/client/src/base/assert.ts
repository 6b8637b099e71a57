/** A bug in this program, never an operating error: whoever sees one should stop rather than go on. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws an {@link AssertionError} unless `condition` holds. The message may be a thunk where building it costs. */
export function assert(
  condition: unknown,
  message: string | (() => string) = 'assertion failed',
): asserts condition {
  if (!condition) throw new AssertionError(typeof message === 'string' ? message : message())
}

/** Ends an exhaustive switch: a new case of the union no longer compiles here. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable case: ${JSON.stringify(value)}`)
}
