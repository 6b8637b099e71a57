import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { etcdUrls } from './etcd-member.ts'
import { type Layout, pathsOf } from './layout.ts'
import type { MemberRole, MemberSpec } from './member-process.ts'
import { LOOPBACK } from './ports.ts'

/** Paths of the programs that coordinators and executors run. */
export interface Programs {
  readonly coordinator: string
  readonly executor: string
}

export interface EngineOptions {
  readonly dir: string
  readonly layout: Layout
  readonly roots: readonly string[]
  /** Of one executor. */
  readonly threads: number
  readonly memoryBytes: number
  readonly variables: Readonly<Record<string, string | undefined>>
  readonly programs: Programs
  /** What others are told of members, by id, where it is not where they listen. */
  readonly advertised: ReadonlyMap<string, string>
  readonly apart?: boolean | undefined
}

export const installedPrograms = (): Programs => ({
  coordinator: fileURLToPath(import.meta.resolve('@nyala/coordinator/main')),
  executor: fileURLToPath(import.meta.resolve('@nyala/executor/main')),
})

/** The coordinators, then the executors; they may be started in any order once etcd serves. */
export function engineMembers(options: EngineOptions): readonly MemberSpec[] {
  const { coordinators, executors } = options.layout
  const sizes = ['--threads', String(options.threads), '--memory', String(options.memoryBytes)]
  return [
    ...coordinators.map((place) => engineMember('coordinator', place, options, [])),
    ...executors.map((place) =>
      engineMember('executor', place, options, [
        ...sizes,
        ...(options.apart === true ? ['--host', place.id] : []),
      ]),
    ),
  ]
}

export function clusterUrl(layout: Layout, advertised: ReadonlyMap<string, string>): string {
  const addresses = layout.coordinators.map(
    ({ id, port }) => advertised.get(id) ?? `${LOOPBACK}:${port}`,
  )
  return `nyala://${addresses.join(',')}/default`
}

function engineMember(
  role: Exclude<MemberRole, 'etcd'>,
  place: Layout['coordinators'][number],
  options: EngineOptions,
  sizes: readonly string[],
): MemberSpec {
  const address = `${LOOPBACK}:${place.port}`
  const advertised = options.advertised.get(place.id)
  return {
    id: place.id,
    role,
    address,
    command: [
      process.execPath,
      options.programs[role],
      ...['--id', place.id],
      ...['--cluster', options.layout.cluster],
      ...['--etcd', etcdUrls(options.layout, options.advertised).join(',')],
      ...['--listen', address],
      ...(advertised === undefined ? [] : ['--advertise', advertised]),
      ...['--dir', pathsOf(options.dir).data],
      ...options.roots.flatMap((root) => ['--root', root]),
      ...sizes,
    ],
    variables: options.variables,
    logPath: join(pathsOf(options.dir).logs, `${place.id}.log`),
    stopSignal: 'SIGTERM',
    ready: (child, { signal }) => readyLine(child, place.id, signal),
  }
}

/** Waits for the line `{"ready":true,"id":…}`; what else a member prints is read and dropped, so that it never blocks. */
function readyLine(child: ChildProcess, id: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const { stdout } = child
    if (stdout === null) return reject(new Error('its standard output is not connected'))
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    createInterface({ input: stdout }).on('line', (line) => {
      if (isReady(line, id)) resolve()
    })
  })
}

function isReady(line: string, id: string): boolean {
  if (!line.startsWith('{')) return false
  try {
    const message = JSON.parse(line) as { ready?: unknown; id?: unknown }
    return message.ready === true && message.id === id
  } catch {
    // Not ours: a program may print what it likes before it is ready.
    return false
  }
}
