import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { assert, silentLog, systemClock } from '@nyala/client/base'
import { connectKv } from '../etcd-kv.ts'

const READY_TIMEOUT_MS = 20_000
/** Another process may take a free port between its choice and its use. */
const START_ATTEMPTS = 3
const CACHED = 'node_modules/.cache/nyala/etcd/usr/bin/etcd'
const REPOSITORY = join(import.meta.dirname, '../../../..')

type Environment = Readonly<Record<string, string | undefined>>

/** An etcd member on loopback with its own directory, for tests: killed and removed when disposed of. */
export class EtcdProcess implements AsyncDisposable {
  readonly endpoint: string
  readonly #directory: string
  readonly #arguments: readonly string[]
  readonly #binary: string
  #child: ChildProcess
  readonly #killAtExit = (): void => {
    this.#child.kill('SIGKILL')
  }

  private constructor(binary: string, place: Place, peers: readonly Place[]) {
    this.endpoint = place.client
    this.#binary = binary
    this.#directory = place.directory
    const cluster = peers.map(({ name, peer }) => `${name}=${peer}`).join()
    const { name, client, peer, directory } = place
    this.#arguments = [
      ...['--name', name, '--data-dir', join(directory, 'data')],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', cluster, '--initial-cluster-token', peers[0]?.directory ?? ''],
      ...['--unsafe-no-fsync', '--pre-vote=true'],
      ...['--heartbeat-interval', '50', '--election-timeout', '500'],
      ...['--logger', 'zap', '--log-level', 'warn'],
      ...['--log-outputs', join(directory, 'etcd.log')],
    ]
    this.#child = this.#spawn()
    process.once('exit', this.#killAtExit)
  }

  /** Starts one and waits until it answers. Fails, naming what was looked for, where there is no etcd. */
  static async start(environment: Environment): Promise<EtcdProcess> {
    const [etcd] = await EtcdProcess.startCluster(environment, 1)
    assert(etcd !== undefined, 'one member was started')
    return etcd
  }

  /** Starts a cluster of several members and waits until each answers. */
  static async startCluster(
    environment: Environment,
    count: number,
  ): Promise<readonly EtcdProcess[]> {
    const binary = findEtcd(environment)
    for (let attempt = 1; ; attempt++) {
      const places = await Promise.all(Array.from({ length: count }, (_, i) => newPlace(i)))
      const members = places.map((place) => new EtcdProcess(binary, place, places))
      try {
        await Promise.all(members.map((member) => member.#waitReady()))
        return members
      } catch (cause) {
        const logs = await Promise.all(members.map((member) => member.#log()))
        await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
        if (attempt === START_ATTEMPTS) {
          throw new Error(`etcd did not start: ${logs.join('\n')}`, { cause })
        }
      }
    }
  }

  /** Stops answering without closing a connection, as a paused machine does. */
  pause(): void {
    const { pid } = this.#child
    this.#child.kill('SIGSTOP')
    // Threads that run on other processors stop a moment later, and may answer one call more.
    while (pid !== undefined && existsSync(`/proc/${pid}`) && !isStopped(pid));
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** Ends the process at once; the data stays. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  /** Starts again on the same data after `kill`. */
  async restart(): Promise<void> {
    this.#child = this.#spawn()
    await this.#waitReady()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    process.off('exit', this.#killAtExit)
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #log(): Promise<string> {
    const log = await readFile(join(this.#directory, 'etcd.log'), 'utf8').catch(() => '(no log)')
    return log.slice(-2000)
  }

  #spawn(): ChildProcess {
    return spawn(this.#binary, this.#arguments, { stdio: 'ignore' })
  }

  async #waitReady(): Promise<void> {
    const endpoints = [this.endpoint]
    await using kv = await connectKv({ endpoints, clock: systemClock, log: silentLog })
    const ended = new AbortController()
    const child = this.#child
    const onExit = (): void => ended.abort(new Error('etcd ended'))
    child.once('exit', onExit)
    await kv.waitReady({ timeoutMs: READY_TIMEOUT_MS, signal: ended.signal })
    child.off('exit', onExit)
  }
}

/** NYALA_ETCD, then PATH, then the copy that the set-up unpacks into the repository. */
export function findEtcd(environment: Environment): string {
  const named = environment['NYALA_ETCD']
  const candidates =
    named !== undefined && named !== ''
      ? [named]
      : [
          ...(environment['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'etcd')),
          join(REPOSITORY, CACHED),
        ]
  const found = candidates.find(isExecutable)
  if (found !== undefined) return found
  throw new Error(
    `no etcd found: looked at NYALA_ETCD (${named ?? 'not set'}), PATH and ${CACHED}; install etcd or set NYALA_ETCD`,
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** As Linux tells it, of all threads. */
function isStopped(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
      return /^[TtZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
    })
  } catch {
    // One has ended meanwhile, perhaps all.
    return false
  }
}

interface Place {
  readonly name: string
  readonly directory: string
  readonly client: string
  readonly peer: string
}

async function newPlace(number: number): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'nyala-etcd-'))
  const client = `http://127.0.0.1:${await freePort()}`
  const peer = `http://127.0.0.1:${await freePort()}`
  return { name: `test${number}`, directory, client, peer }
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
