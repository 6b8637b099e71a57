import { randomBytes } from 'node:crypto'
import { randomHex } from '@nyala/client/protocol'

/** Of one write: part of the names of all its files, so never part of another's. */
export const newWriteId = (): string => `w${randomHex(12)}`

/** Random and positive, of 63 bits, as other writers choose them. */
export const newSnapshotId = (): bigint =>
  BigInt.asUintN(63, randomBytes(8).readBigUInt64LE()) || 1n
