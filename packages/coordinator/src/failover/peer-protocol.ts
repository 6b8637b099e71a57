import { type Infer, s } from '@nyala/client/base'

/**
 * What coordinators say to each other on their sockets (`/peer`). The socket itself is the message: who keeps it open
 * and answers its pings lives. The one with the larger id dials.
 *
 * ```
 *   dialler ── hello ──► listener
 *   dialler ◄─ welcome ─ listener      then pings, either way, until one of them closes
 *   dialler ◄── load ──► listener      at once, and whenever it has changed
 *   dialler ◄── turn ──► listener      as commits wait for their turns at tables
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

/** A commit that asks to be let go first at tables: courtesy, of which nothing has to arrive. */
export const peerTurn = s.object({
  kind: s.literal('turn'),
  id: s.string,
  /** By id. */
  tables: s.array(s.string),
  /** For how long it has been under way, milliseconds. */
  agedMs: s.number,
  /** For how long it is to be waited for; 0: no longer. */
  forMs: s.natural,
  /** Times that it was overtaken. */
  tries: s.natural,
  /** At which the catalog shows what it has committed; 0 where it has not. */
  revision: s.natural,
})
export type PeerTurn = Infer<typeof peerTurn>

/** What is told once both have greeted. */
export type PeerNews = PeerLoad | PeerTurn

export const fromDialler = s.union({
  hello: s.object({ kind: s.literal('hello'), ...greeting }),
  load: peerLoad,
  turn: peerTurn,
})
export type FromDialler = Infer<typeof fromDialler>

export const fromListener = s.union({
  welcome: s.object({ kind: s.literal('welcome'), ...greeting }),
  load: peerLoad,
  turn: peerTurn,
})
export type FromListener = Infer<typeof fromListener>
