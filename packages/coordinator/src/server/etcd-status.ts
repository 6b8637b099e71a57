import { request } from 'node:http'
import type { ClusterStatus } from '@nyala/client/protocol'
import { listeningPid } from './listening-pid.ts'

const TIMEOUT_MS = 1_000

/** What the members of etcd say of themselves; one that does not answer in time is unhealthy. For people only. */
export function etcdStatus(endpoints: readonly string[]): Promise<ClusterStatus['etcd']> {
  return Promise.all(endpoints.map(memberStatus))
}

async function memberStatus(endpoint: string): Promise<ClusterStatus['etcd'][number]> {
  const address = endpoint.replace(/^https?:\/\//, '')
  try {
    const [status, pid] = await Promise.all([
      post(`${endpoint}/v3/maintenance/status`),
      listeningPid(address),
    ])
    const header = (status['header'] ?? {}) as Readonly<Record<string, unknown>>
    const id = String(header['member_id'] ?? address)
    const leader = status['leader'] !== undefined && status['leader'] === header['member_id']
    return { id, address, pid, leader, healthy: true }
  } catch {
    return { id: address, address, pid: await listeningPid(address), leader: false, healthy: false }
  }
}

function post(url: string): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'POST', timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>)
        } catch (error) {
          reject(error as Error)
        }
      })
    })
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)))
    call.on('error', reject)
    call.end('{}')
  })
}
