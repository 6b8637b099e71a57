import { SqlError } from '@nyala/client/protocol'
import type { Test } from 'tap'
import { KvError, type KvErrorKind } from '../kv.ts'

/** Expects the typed error that a statement would end with. */
export async function fails(
  t: Test,
  error: string,
  call: Promise<unknown>,
  message?: string,
): Promise<void> {
  try {
    await call
    t.fail(`expected ${error}`)
  } catch (thrown) {
    t.ok(thrown instanceof SqlError, String(thrown))
    if (!(thrown instanceof SqlError)) return
    t.equal(thrown.error, error, thrown.message)
    if (message !== undefined) t.equal(thrown.message, message)
  }
}

/** Expects a call to the store to fail in a certain way. */
export async function failsKv(t: Test, kind: KvErrorKind, call: Promise<unknown>): Promise<void> {
  try {
    await call
    t.fail(`expected a KvError of kind ${kind}`)
  } catch (error) {
    t.ok(error instanceof KvError, String(error))
    if (error instanceof KvError) t.equal(error.kind, kind, error.message)
  }
}
