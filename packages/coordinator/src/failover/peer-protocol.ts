import { type Infer, s } from '@nyala/client/base'

/**
 * What coordinators say to each other on their sockets (`/peer`). The socket itself is the message: who keeps it open
 * and answers its pings lives. The one with the larger id dials.
 *
 * ```
 *   dialler ── hello ──► listener
 *   dialler ◄─ welcome ─ listener      then pings, either way, until one of them closes
 *   dialler ◄── load ──► listener      at once, and whenever it has changed
 * ```
 */
const greeting = {
  protocol: s.natural,
  cluster: s.string,
  coordinator: s.string,
  /** When the process began, as in its member record. */
  startedAt: s.number,
}

/** What it has of queries that count where it is decided which may run. */
export const peerLoad = s.object({
  kind: s.literal('load'),
  running: s.natural,
  queued: s.natural,
  /** For how long the query waits whose turn it is. */
  waitedMs: s.number,
  memoryBytes: s.natural,
})
export type PeerLoad = Infer<typeof peerLoad>

export const fromDialler = s.union({
  hello: s.object({ kind: s.literal('hello'), ...greeting }),
  load: peerLoad,
})
export type FromDialler = Infer<typeof fromDialler>

export const fromListener = s.union({
  welcome: s.object({ kind: s.literal('welcome'), ...greeting }),
  load: peerLoad,
})
export type FromListener = Infer<typeof fromListener>
