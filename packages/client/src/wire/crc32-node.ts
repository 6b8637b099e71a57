import { crc32 as native } from 'node:zlib'
import type { Crc32 } from './crc32.ts'

/** CRC-32 by zlib, where Node is. */
export const crc32: Crc32 = (bytes, previous = 0) => native(bytes, previous)
