import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { Log } from '../base/log.ts'
import type { Transport } from './connection.ts'
import { MESSAGE_BYTES_MAX } from './limits.ts'
import { nodeTransport } from './node-transport.ts'

export interface ListenOptions {
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** One handler a path, for example `/client`; any other path is answered with 404. */
  readonly paths: Readonly<Record<string, (transport: Transport, request: IncomingMessage) => void>>
  /** Answers GET `/health`. */
  readonly health: () => Readonly<Record<string, unknown>>
  /** Told of what goes wrong beside any one socket, for example that no more can be accepted. */
  readonly log?: Log | undefined
}

export interface Listener {
  /** `host:port` as bound. */
  readonly address: string
  /** Stops accepting; open sockets live on until their owners close them or `close` ends them. */
  close(): Promise<void>
}

/** Serves WebSockets and one health page. Rejects with Node's error (EADDRINUSE and the like) when it cannot bind. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const sockets = new Set<Socket>()
  const http = createServer((request, response) => {
    const known = request.url === '/health'
    response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(known ? options.health() : { error: 'not found' }) + '\n')
  })
  http.on('connection', (socket) => {
    socket.setNoDelay(true)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    skipUTF8Validation: true,
  })
  http.on('upgrade', (request, socket, head) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    const handler = Object.hasOwn(options.paths, path) ? options.paths[path] : undefined
    if (handler === undefined) {
      // Node takes its own listener away before it hands the socket over.
      socket.on('error', () => undefined)
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n')
      return
    }
    server.handleUpgrade(request, socket, head, (ws) => handler(nodeTransport(ws), request))
  })
  http.listen(options.port, options.host)
  await once(http, 'listening')
  http.on('error', (error) => options.log?.error('listenFailed', { error }))
  const bound = http.address() as AddressInfo
  return {
    address: `${options.host}:${bound.port}`,
    async close() {
      if (!http.listening) return
      const closed = once(http, 'close')
      http.close()
      for (const socket of sockets) socket.destroy()
      server.close()
      await closed
    },
  }
}
