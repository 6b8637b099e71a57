import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DecodeError, type Infer, s } from '@nyala/client/base'
import { configurationError } from './launcher-error.ts'
import {
  COORDINATOR_PORT_OFFSET,
  ETCD_CLIENT_PORT_OFFSET,
  ETCD_PEER_PORT_OFFSET,
  EXECUTOR_PORT_OFFSET,
  type PortClaims,
} from './ports.ts'

/** Paths inside a cluster's directory. */
export const pathsOf = (dir: string) => ({
  state: join(dir, 'cluster.json'),
  layout: join(dir, 'layout.json'),
  startLock: join(dir, 'start.lock'),
  logs: join(dir, 'logs'),
  etcd: join(dir, 'etcd'),
  /** There once etcd has served from the directory. */
  etcdServed: join(dir, 'etcd', 'served'),
  data: join(dir, 'data'),
})

const place = s.object({ id: s.string, port: s.natural })

/**
 * Where the members of a cluster listen. It outlives the cluster's processes, because etcd's data holds the peer
 * addresses: started again elsewhere, its members would look for one another at the old ones.
 */
const layoutRecord = s.object({
  format: s.literal(1),
  cluster: s.string,
  etcdToken: s.string,
  etcd: s.array(s.object({ id: s.string, port: s.natural, peerPort: s.natural })),
  coordinators: s.array(place),
  executors: s.array(place),
})
export type Layout = Infer<typeof layoutRecord>

export interface LayoutOptions {
  readonly dir: string
  readonly cluster: string
  readonly etcd: number
  readonly coordinators: number
  readonly executors: number
  /** First port; 0 takes free ones, or those that the directory's data was made with. */
  readonly portBase: number
  readonly ports: PortClaims
}

/**
 * The layout of the directory's data where there is some that fits, else a new one, which is then kept. One at a time may
 * do this in a directory.
 */
export async function settleLayout(options: LayoutOptions): Promise<Layout> {
  const kept = await readLayout(options.dir)
  if (kept !== undefined) requireSameEtcd(kept, options)
  const layout = await planLayout(options, kept)
  await mkdir(options.dir, { recursive: true })
  await writeFile(pathsOf(options.dir).layout, JSON.stringify(layout, undefined, 2) + '\n')
  return layout
}

/** Undefined where the directory never held a cluster. */
export async function readLayout(dir: string): Promise<Layout | undefined> {
  const path = pathsOf(dir).layout
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return layoutRecord.decode(JSON.parse(text), 'layout')
  } catch (error) {
    const why = error instanceof DecodeError || error instanceof SyntaxError ? error.message : ''
    throw configurationError(
      `"${path}" was not written by this version: ${why}`,
      'choose another --dir, or remove the directory if its data is no longer needed',
    )
  }
}

function requireSameEtcd(kept: Layout, options: LayoutOptions): void {
  const hint = `use the options it was made with, another --dir, or "nyala down --purge" to discard the data`
  if (kept.cluster !== options.cluster) {
    throw configurationError(
      `"${options.dir}" holds the data of cluster "${kept.cluster}", not "${options.cluster}"`,
      hint,
    )
  }
  const samePorts =
    options.portBase === 0 || kept.etcd[0]?.port === options.portBase + ETCD_CLIENT_PORT_OFFSET
  if (kept.etcd.length !== options.etcd || !samePorts) {
    throw configurationError(
      `"${options.dir}" holds data of ${kept.etcd.length} etcd members at ports ` +
        `${kept.etcd.map((member) => member.port).join(', ')}, which cannot be moved`,
      hint,
    )
  }
}

async function planLayout(options: LayoutOptions, kept: Layout | undefined): Promise<Layout> {
  const free = options.portBase === 0 ? [...(await freePortsBeside(options, kept))] : undefined
  const port = (offset: number, index: number): number =>
    free === undefined ? options.portBase + offset + index : (free.shift() as number)
  const places = (count: number, prefix: string, offset: number) =>
    Array.from({ length: count }, (_, i) => ({ id: `${prefix}${i + 1}`, port: port(offset, i) }))
  const etcd =
    kept?.etcd ??
    Array.from({ length: options.etcd }, (_, i) => ({
      id: `etcd${i + 1}`,
      port: port(ETCD_CLIENT_PORT_OFFSET, i),
      peerPort: port(ETCD_PEER_PORT_OFFSET, i),
    }))
  return {
    format: 1,
    cluster: options.cluster,
    // Members of two clusters that meet at one port must not take each other for their own.
    etcdToken: kept?.etcdToken ?? crypto.randomUUID(),
    etcd,
    coordinators: places(options.coordinators, 'c', COORDINATOR_PORT_OFFSET),
    executors: places(options.executors, 'e', EXECUTOR_PORT_OFFSET),
  }
}

async function freePortsBeside(
  options: LayoutOptions,
  kept: Layout | undefined,
): Promise<readonly number[]> {
  const etcdPorts = kept === undefined ? 2 * options.etcd : 0
  return options.ports.choose(etcdPorts + options.coordinators + options.executors)
}
