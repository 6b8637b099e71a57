import { request } from 'node:http'
import type { ClusterStatus } from '@nyala/client/protocol'
import { ListeningPids } from './listening-pid.ts'
import { SharedInquiry } from './shared-inquiry.ts'

const TIMEOUT_MS = 1_000

type EtcdMember = ClusterStatus['etcd'][number]

/** What the members of etcd say of themselves; one that does not answer in time is unhealthy. For people only. */
export class EtcdStatus {
  readonly #endpoints: readonly string[]
  readonly #pids = new ListeningPids()
  readonly #inquiry = new SharedInquiry(() => this.#ask())

  /** `endpoints`: URLs for clients of etcd. */
  constructor(endpoints: readonly string[]) {
    this.#endpoints = endpoints
  }

  /** As they are now, however many ask at once. Never rejects. */
  members(): Promise<readonly EtcdMember[]> {
    return this.#inquiry.ask()
  }

  async #ask(): Promise<readonly EtcdMember[]> {
    const addresses = this.#endpoints.map((endpoint) => endpoint.replace(/^https?:\/\//, ''))
    const [said, pids] = await Promise.all([
      Promise.all(this.#endpoints.map(statusOf)),
      this.#pids.at(addresses),
    ])
    return addresses.map((address, i) => {
      const { id = address, leader = false, healthy = false, ...more } = said[i] ?? {}
      return { id, address, pid: pids[i] ?? null, leader, healthy, ...more }
    })
  }
}

type Answer = Pick<EtcdMember, 'leader' | 'healthy' | 'alarms'> & { readonly id?: string }

/** Undefined where it does not answer. */
async function statusOf(endpoint: string): Promise<Answer | undefined> {
  try {
    const status = await post(`${endpoint}/v3/maintenance/status`)
    const header = (status['header'] ?? {}) as Readonly<Record<string, unknown>>
    const member = header['member_id']
    const leader = status['leader'] !== undefined && status['leader'] === member
    const alarms = alarmsIn(status['errors'])
    const id = member === undefined ? {} : { id: String(member) }
    return { ...id, leader, healthy: true, ...alarms }
  } catch {
    return undefined
  }
}

/** A member lists as errors the alarms of all, as `memberID:1 alarm:NOSPACE `. */
function alarmsIn(errors: unknown): { readonly alarms?: string[] } {
  const texts = Array.isArray(errors) ? errors.map(String) : []
  const alarms = texts.flatMap((text) => /alarm:(\w+)/.exec(text)?.[1] ?? [])
  return alarms.length === 0 ? {} : { alarms: [...new Set(alarms)] }
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
