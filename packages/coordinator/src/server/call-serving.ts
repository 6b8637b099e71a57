import { deferred, type Deferred } from '@nyala/client/base'
import type { SqlError } from '@nyala/client/protocol'
import type { Serving } from '../failover/resumption.ts'

/** One call of a client, as whoever serves a result that outlives this coordinator. */
export class CallServing implements Serving {
  readonly controller: AbortController
  /** Resolves when the client has said that it has everything. */
  readonly received: Deferred<void> = deferred()
  /** Its connection has closed: it may come back by another one. */
  isClientGone = false
  /** What runs the query here. */
  run: { leave(): void } | undefined

  constructor(controller: AbortController) {
    this.controller = controller
  }

  leave(reason: SqlError): void {
    this.run?.leave()
    this.controller.abort(reason)
  }
}
