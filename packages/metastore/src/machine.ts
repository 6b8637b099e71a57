import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * The identity of this machine for a member's record: members with the same one share a kernel, and with it the
 * file system that paths refer to, so that they may hand each other paths instead of bytes. All members must use it.
 */
export function machineIdentity(): string {
  try {
    return `${hostname()}/${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return hostname()
  }
}
