import { once } from 'node:events'
import type { Socket } from 'node:net'
import type WebSocket from 'ws'
import type { Transport, TransportEvents } from './connection.ts'

/** `ws` delivers fragments and array buffers on request only; we always get one Buffer a message. */
export function nodeTransport(socket: WebSocket): Transport {
  // An error is always followed by a close, which says all that matters to us.
  socket.on('error', () => undefined)
  // What comes before `start` waits in the socket; a message without a listener would be lost.
  socket.pause()
  let corked = false
  /** What one turn of the event loop sends goes out in one write: a small answer is several messages. */
  const cork = (): void => {
    const raw = rawSocket(socket)
    if (corked || raw === undefined) return
    corked = true
    raw.cork()
    setImmediate(() => {
      corked = false
      raw.uncork()
    })
  }
  return {
    send(data) {
      if (socket.readyState !== socket.OPEN) return
      cork()
      socket.send(data, { binary: typeof data !== 'string' })
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    async drained() {
      const raw = rawSocket(socket)
      // A socket that asks nobody to wait will never say that it has drained.
      if (raw === undefined || raw.destroyed || !raw.writableNeedDrain) return
      // Whichever comes first: a closed socket never drains.
      const ended = new AbortController()
      await Promise.race([
        once(raw, 'drain', { signal: ended.signal }),
        once(raw, 'close', { signal: ended.signal }),
      ]).catch(() => undefined)
      ended.abort()
    },
    close(code, reason) {
      socket.close(code, reason)
    },
    terminate() {
      socket.terminate()
    },
    start(events: TransportEvents) {
      socket.on('message', (data, isBinary) => {
        const bytes = data as Buffer
        if (isBinary) events.onBinary(bytes)
        else events.onText(bytes.toString('utf8'))
      })
      socket.on('close', (code, reason) => events.onClose(code, reason.toString('utf8')))
      socket.resume()
    },
  }
}

/** The TCP socket below, which `ws` has no public name for; none once it is closed. */
const rawSocket = (socket: WebSocket): Socket | undefined =>
  (socket as unknown as { readonly _socket?: Socket | null })._socket ?? undefined
