import { type Infer, s } from '@nyala/client/base'

/**
 * What coordinators say to each other on their sockets (`/peer`). The socket itself is the message: who keeps it open
 * and answers its pings lives. The one with the larger id dials.
 *
 * ```
 *   dialler ── hello ──► listener
 *   dialler ◄─ welcome ─ listener      then pings, either way, until one of them closes
 * ```
 */
const greeting = {
  protocol: s.natural,
  cluster: s.string,
  coordinator: s.string,
  /** When the process began, as in its member record. */
  startedAt: s.number,
}

export const fromDialler = s.union({
  hello: s.object({ kind: s.literal('hello'), ...greeting }),
})
export type FromDialler = Infer<typeof fromDialler>

export const fromListener = s.union({
  welcome: s.object({ kind: s.literal('welcome'), ...greeting }),
})
export type FromListener = Infer<typeof fromListener>
