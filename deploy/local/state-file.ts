import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { type Infer, s } from '@nyala/client/base'
import { configurationError, LauncherError } from './launcher-error.ts'
import { pathsOf } from './layout.ts'
import { isAlive, type ProcessIdentity } from './process-identity.ts'

const identity = { pid: s.natural, birth: s.string }

const processRecord = s.object({
  id: s.string,
  role: s.oneOf('etcd', 'coordinator', 'executor'),
  address: s.string,
  ...identity,
})
export type ProcessRecord = Infer<typeof processRecord>

/**
 * `cluster.json`: what runs in a cluster's directory. It is there from before the first process starts until after the
 * last one stopped, so that whatever a crash leaves can be found and ended by `nyala down`.
 */
const stateRecord = s.object({
  format: s.literal(1),
  cluster: s.string,
  /** What clients connect to. */
  url: s.string,
  state: s.oneOf('starting', 'ready', 'stopping'),
  /** Base URLs of the etcd members. */
  etcd: s.array(s.string),
  /** Directories that tables may lie in. */
  roots: s.array(s.string),
  /** Milliseconds since 1970-01-01 UTC. */
  startedAt: s.number,
  supervisor: s.object(identity),
  processes: s.array(processRecord),
})
export type ClusterState = Infer<typeof stateRecord>

/** Undefined where nothing runs, as far as the directory knows. */
export async function readState(dir: string): Promise<ClusterState | undefined> {
  const path = pathsOf(dir).state
  try {
    return stateRecord.decode(JSON.parse(await readFile(path, 'utf8')), 'state')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new LauncherError(`cannot read "${path}": ${(error as Error).message}`, {
      hint: 'look for processes of this cluster, end them, then remove the file',
      cause: error,
    })
  }
}

/** Claims the directory: fails where another supervisor wrote its state in the meantime. */
export async function createState(dir: string, state: ClusterState): Promise<void> {
  const path = pathsOf(dir).state
  try {
    await writeFile(path, text(state), { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      // What a full disk took of it would be in the way of the next start.
      await rm(path, { force: true })
      throw error
    }
    throw configurationError(
      `another cluster is just starting in "${dir}"`,
      'choose another --dir, or wait and connect to that one',
    )
  }
}

/** Replaces the state whole: a reader sees the old or the new one. */
export async function writeState(dir: string, state: ClusterState): Promise<void> {
  const path = pathsOf(dir).state
  const next = `${path}.${process.pid}.next`
  await writeFile(next, text(state))
  await rename(next, path)
}

/** Gives the directory free, unless another supervisor has claimed it meanwhile. */
export async function removeState(dir: string, supervisor: ProcessIdentity): Promise<void> {
  const now = await readState(dir)
  if (now === undefined || !isSameProcess(now.supervisor, supervisor)) return
  await rm(pathsOf(dir).state, { force: true })
}

export const isSameProcess = (a: ProcessIdentity, b: ProcessIdentity): boolean =>
  a.pid === b.pid && a.birth === b.birth

/** The processes of a state that still run. */
export async function survivors(
  state: ClusterState,
  lives: (process: ProcessIdentity) => Promise<boolean> = isAlive,
): Promise<readonly ProcessRecord[]> {
  const alive = await Promise.all(state.processes.map((one) => lives(one)))
  return state.processes.filter((_, i) => alive[i] === true)
}

const text = (state: ClusterState): string => JSON.stringify(state, undefined, 2) + '\n'
