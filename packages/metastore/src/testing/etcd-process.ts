import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { silentLog, systemClock } from '@nyala/client/base'
import { connectKv } from '../etcd-kv.ts'

const READY_TIMEOUT_MS = 20_000
/** Another process may take a free port between its choice and its use. */
const START_ATTEMPTS = 3
const CACHED = 'node_modules/.cache/nyala/etcd/usr/bin/etcd'
const REPOSITORY = join(import.meta.dirname, '../../../..')

type Environment = Readonly<Record<string, string | undefined>>

/** A single etcd member on loopback with its own directory, for tests: killed and removed when disposed of. */
export class EtcdProcess implements AsyncDisposable {
  readonly endpoint: string
  readonly #directory: string
  readonly #arguments: readonly string[]
  readonly #binary: string
  #child: ChildProcess
  readonly #killAtExit = (): void => {
    this.#child.kill('SIGKILL')
  }

  private constructor(binary: string, directory: string, ports: readonly [number, number]) {
    const client = `http://127.0.0.1:${ports[0]}`
    const peer = `http://127.0.0.1:${ports[1]}`
    this.endpoint = client
    this.#binary = binary
    this.#directory = directory
    this.#arguments = [
      ...['--name', 'test', '--data-dir', join(directory, 'data')],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', `test=${peer}`, '--initial-cluster-token', directory],
      ...['--unsafe-no-fsync', '--pre-vote=true'],
      ...['--heartbeat-interval', '50', '--election-timeout', '500'],
      ...['--logger', 'zap', '--log-level', 'warn'],
      ...['--log-outputs', join(directory, 'etcd.log')],
    ]
    this.#child = this.#spawn()
    process.once('exit', this.#killAtExit)
  }

  /** Starts and waits until it answers. Fails, naming what was looked for, where there is no etcd. */
  static async start(environment: Environment): Promise<EtcdProcess> {
    const binary = findEtcd(environment)
    for (let attempt = 1; ; attempt++) {
      const directory = await mkdtemp(join(tmpdir(), 'nyala-etcd-'))
      const etcd = new EtcdProcess(binary, directory, [await freePort(), await freePort()])
      try {
        await etcd.#waitReady()
        return etcd
      } catch (cause) {
        const log = await readFile(join(directory, 'etcd.log'), 'utf8').catch(() => '(no log)')
        await etcd[Symbol.asyncDispose]()
        if (attempt === START_ATTEMPTS) {
          throw new Error(`etcd did not start: ${log.slice(-2000)}`, { cause })
        }
      }
    }
  }

  /** Stops answering without closing a connection, as a paused machine does. */
  pause(): void {
    this.#child.kill('SIGSTOP')
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

  #spawn(): ChildProcess {
    return spawn(this.#binary, this.#arguments, { stdio: 'ignore' })
  }

  async #waitReady(): Promise<void> {
    const endpoints = [this.endpoint]
    await using kv = await connectKv({ endpoints, clock: systemClock, log: silentLog })
    const ended = new AbortController()
    this.#child.once('exit', () => ended.abort(new Error('etcd ended')))
    await kv.waitReady({ timeoutMs: READY_TIMEOUT_MS, signal: ended.signal })
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
