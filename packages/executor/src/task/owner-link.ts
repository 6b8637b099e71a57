import type { FromExecutor } from '../protocol/index.ts'

/** Where a task's messages go: the control socket of the coordinator that owns the query now. */
export interface OwnerLink {
  send(message: FromExecutor): void
  sendFrame(frame: Uint8Array): void
}

/** A number by which a coordinator knows frames that come on one of its sockets; on another it is something else. */
export interface CallOf {
  readonly link: OwnerLink
  readonly call: number
}
