import type { Brand } from '../base/brand.ts'
import { SqlError } from './errors.ts'

/** One execution of a statement; made by the coordinator that accepted it. */
export type QueryId = Brand<string, 'QueryId'>
/** One use of a statement by a client; made by the client, so that a retry can be recognised. */
export type StatementId = Brand<string, 'StatementId'>
/** A process that takes part in the cluster, for example `c1` or `e3`. */
export type MemberId = Brand<string, 'MemberId'>

const QUERY_ID = /^q[0-9a-f]{24}$/
const STATEMENT_ID = /^[0-9A-Za-z_-]{8,64}$/
const MEMBER_ID = /^[0-9A-Za-z][0-9A-Za-z_.-]{0,62}$/

export const isQueryId = (text: string): text is QueryId => QUERY_ID.test(text)
export const isStatementId = (text: string): text is StatementId => STATEMENT_ID.test(text)
export const isMemberId = (text: string): text is MemberId => MEMBER_ID.test(text)

/** A new id: 48 bits of wall-clock milliseconds, so that ids sort by age, then 48 random bits. */
export function newQueryId(wallMs: number): QueryId {
  return `q${wallMs.toString(16).padStart(12, '0')}${randomHex(6)}` as QueryId
}

export function newStatementId(): StatementId {
  return randomHex(16) as StatementId
}

/** The id that a client's caller wants; a new one where it wants none. Fails with `invalid_parameter_value`. */
export function statementIdOf(wanted: string | undefined): StatementId {
  if (wanted === undefined) return newStatementId()
  if (isStatementId(wanted)) return wanted
  throw new SqlError('invalid_parameter_value', `"${wanted}" is not an id of a statement`, {
    hint: 'use 8 to 64 letters, digits, underscores and hyphens, such as a UUID',
  })
}

/** `count` random bytes as hexadecimal text, from the platform's secure generator (Node and browsers alike). */
export function randomHex(count: number): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(count))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
