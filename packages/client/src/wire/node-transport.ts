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
  return {
    send(data) {
      if (socket.readyState === socket.OPEN) socket.send(data, { binary: typeof data !== 'string' })
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    async drained() {
      const raw = (socket as unknown as { readonly _socket?: Socket | null })._socket
      // A socket that asks nobody to wait will never say that it has drained.
      if (raw === undefined || raw === null || raw.destroyed || !raw.writableNeedDrain) return
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
