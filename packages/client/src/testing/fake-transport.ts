import type { Transport, TransportEvents } from '../wire/connection.ts'

/** A transport without a socket: it keeps what was sent, and the test says what comes. */
export class FakeTransport implements Transport {
  readonly sent: (string | Uint8Array)[] = []
  closedWith: { readonly code: number; readonly reason: string } | undefined
  terminated = false
  bufferedBytes = 0
  #events: TransportEvents | undefined

  get events(): TransportEvents {
    if (this.#events === undefined) throw new Error('the transport was not started')
    return this.#events
  }

  send(data: string | Uint8Array): void {
    this.sent.push(data)
  }

  drained(): Promise<void> {
    return Promise.resolve()
  }

  close(code: number, reason: string): void {
    this.closedWith = { code, reason }
  }

  terminate(): void {
    this.terminated = true
    this.#events?.onClose(1006, '')
  }

  start(events: TransportEvents): void {
    this.#events = events
  }
}
