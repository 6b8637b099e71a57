import { link, mkdir, open, readFile, realpath, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type Clock, DecodeError, type Infer, isMutant, s } from '@nyala/client/base'
import { randomHex, SqlError } from '@nyala/client/protocol'
import type { ClusterDirectory, Keys } from './keys.ts'
import type { Kv, OperationResult } from './kv.ts'
import { type ClusterRecord, decodeRecord, directoryRecord, encodeRecord } from './records.ts'
import { repeatCommit } from './retry.ts'

/** Lies in each directory that all members of a cluster share, and says whose it is. */
export const CLAIM_FILE = 'nyala-cluster.json'

const directoryClaim = s.object({
  format: s.literal(1),
  /** As in the record of the cluster. */
  clusterId: s.string,
  clusterName: s.string,
  /** Random; tells the directory from another one of the same cluster. It is copied and moved with the directory. */
  directoryId: s.string,
})
export type DirectoryClaim = Infer<typeof directoryClaim>

/** What is to be done about a directory, by what lies in it and what etcd has of it. */
export type ClaimDecision =
  /** Neither has anything: the file is to be made. */
  | 'make'
  /** The file is there, and etcd is to be told. */
  | 'register'
  | 'ours'
  /** Another cluster has it. */
  | 'foreign'
  /** It is this cluster's, and not the one that the cluster has. */
  | 'other'
  /** The cluster has one, and this one does not say whose it is. */
  | 'unnamed'

/** Pure. `registered`: the id of the directory that the cluster has. */
export function decideClaim(
  clusterId: string,
  found: DirectoryClaim | undefined,
  registered: string | undefined,
): ClaimDecision {
  if (found === undefined) return registered === undefined ? 'make' : 'unnamed'
  if (found.clusterId !== clusterId) return 'foreign'
  if (registered === undefined) return 'register'
  return registered === found.directoryId ? 'ours' : 'other'
}

export interface ClaimOptions {
  readonly kv: Kv
  readonly keys: Keys
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes sure that a directory is this cluster's and no other's, before anything is written there: two clusters on one
 * would each remove what the other has. The first to come names it, by a file that appears whole or not at all, and etcd
 * keeps which one it is, by a guarded write; whoever finds anything else is refused. Repeated, after a death at any step
 * too, it goes on from there.
 *
 * Fails with `foreign_directory`, which says both ids and what to do, with `io_error` where the file cannot be made, and
 * as {@link repeatCommit}.
 */
export async function claimDirectory(
  options: ClaimOptions,
  cluster: Pick<ClusterRecord, 'id'>,
  place: { readonly what: ClusterDirectory; readonly path: string },
): Promise<void> {
  if (isMutant('no-directory-claim')) return
  const path = resolve(place.path)
  const name = options.keys.cluster
  let made: string | undefined
  for (;;) {
    // First etcd: whoever registers has made the file before.
    const registered = await registeredId(options, place.what)
    const found = await readClaim(path)
    const decision = decideClaim(cluster.id, found, registered)
    switch (decision) {
      case 'ours':
        return
      case 'make': {
        const directoryId = randomHex(8)
        const claim = { format: 1, clusterId: cluster.id, clusterName: name, directoryId } as const
        if (await makeClaim(path, claim)) made = directoryId
        break
      }
      case 'register':
        await registeredId(options, place.what, found?.directoryId)
        break
      case 'foreign':
      case 'other':
      case 'unnamed':
        // Another coordinator has named another directory meanwhile: this one is nobody's again.
        if (decision === 'other' && found?.directoryId === made) await rm(join(path, CLAIM_FILE))
        throw refusal(decision, { ...place, path, name, id: cluster.id, found, registered })
    }
  }
}

/** The id of the directory that the cluster has; where it has none and `id` is given, it is that one from now on. */
async function registeredId(
  options: ClaimOptions,
  what: ClusterDirectory,
  id?: string,
): Promise<string | undefined> {
  const key = options.keys.directory(what)
  const get = { kind: 'get', key } as const
  const { result } = await repeatCommit(options, {
    compares: [{ kind: 'absent', key }],
    success:
      id === undefined
        ? [get]
        : [{ kind: 'put', key, value: encodeRecord(directoryRecord, { id }) }, get],
    failure: [get],
  })
  const item = itemOf(result.responses.at(-1))
  return item === undefined ? undefined : decodeRecord(directoryRecord, item.value, key).id
}

const itemOf = (response: OperationResult | undefined) =>
  response?.kind === 'get' ? response.item : undefined

/** Whose directory it is; undefined where it does not say so. Fails with `data_corrupted` or `io_error`. */
async function readClaim(directory: string): Promise<DirectoryClaim | undefined> {
  const path = join(directory, CLAIM_FILE)
  try {
    return directoryClaim.decode(JSON.parse(await readFile(path, 'utf8')), 'claim')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    if (cause instanceof DecodeError || cause instanceof SyntaxError) {
      throw new SqlError(
        'data_corrupted',
        `"${path}", which says whose the directory is, cannot be read: ${message}`,
        { hint: 'restore the file from a copy of the directory', cause },
      )
    }
    throw new SqlError('io_error', `cannot read "${path}": ${message}`, { cause })
  }
}

/** The file is there and on disk with its name, or was there before: then false. */
async function makeClaim(directory: string, claim: DirectoryClaim): Promise<boolean> {
  const path = join(directory, CLAIM_FILE)
  const temporary = `${path}.${claim.directoryId}`
  try {
    await mkdir(directory, { recursive: true })
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(`${JSON.stringify(claim, undefined, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    // Of several names for it, a link is the one that is given once only, and then to a whole file.
    await link(temporary, path)
    const parent = await open(directory, 'r')
    await parent.sync().finally(() => parent.close())
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new SqlError('io_error', `cannot write "${path}": ${(cause as Error).message}`, {
      hint: 'members need the right to write there',
      cause,
    })
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined)
  }
}

function refusal(
  decision: 'foreign' | 'other' | 'unnamed',
  about: {
    readonly what: ClusterDirectory
    readonly path: string
    readonly name: string
    readonly id: string
    readonly found: DirectoryClaim | undefined
    readonly registered: string | undefined
  },
): SqlError {
  const { what, path, name, id, found, registered } = about
  const self = `cluster "${name}" of id "${id}"`
  if (decision === 'foreign' && found !== undefined) return foreign(path, found, self)
  const which =
    decision === 'unnamed'
      ? `it has no ${CLAIM_FILE}, and that of the cluster has the directory id "${registered}"`
      : `its directory id is "${found?.directoryId}", that of the cluster's is "${registered}"`
  return new SqlError('foreign_directory', `"${path}" is not the ${what} of ${self}: ${which}`, {
    hint:
      'give all coordinators the same directory, and see that it is mounted; one that was moved or restored needs its ' +
      `${CLAIM_FILE}, or, with all coordinators stopped, delete etcd's key of it, /nyala/${name}/v1/directories/${what}`,
  })
}

const foreign = (path: string, { clusterName, clusterId }: DirectoryClaim, self: string) =>
  new SqlError(
    'foreign_directory',
    `"${path}" belongs to cluster "${clusterName}" of id "${clusterId}", and this is ${self}`,
    {
      hint:
        'give this cluster a directory of its own; where its etcd was made anew and no other cluster uses the directory, ' +
        `remove "${join(path, CLAIM_FILE)}"`,
    },
  )

/**
 * Fails with `foreign_directory` where a path lies, however deep, in a directory that belongs to another cluster. What is
 * not there yet lies in what is.
 */
export async function requireOwnDirectory(
  path: string,
  cluster: { readonly name: string; readonly id: string },
): Promise<void> {
  if (isMutant('no-directory-claim')) return
  for (let directory = await existing(resolve(path)); ; directory = dirname(directory)) {
    const found = await readClaim(directory)
    if (found !== undefined && found.clusterId !== cluster.id) {
      throw foreign(directory, found, `cluster "${cluster.name}" of id "${cluster.id}"`)
    }
    if (found !== undefined || directory === dirname(directory)) return
  }
}

/** The real path of the nearest directory that there is. */
async function existing(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return existing(dirname(path))
    throw new SqlError('io_error', `cannot look at "${path}": ${message}`, { cause })
  }
}
