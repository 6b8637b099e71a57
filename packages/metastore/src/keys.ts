import { assert } from '@nyala/client/base'
import { isMemberId, type MemberId } from '@nyala/client/protocol'

export type MemberRole = 'coordinator' | 'executor'

/** Directories that all coordinators of a cluster share. */
export type ClusterDirectory = 'warehouse' | 'metadata'

const FORMAT = 'v1'
const CLUSTER_NAME = /^[0-9A-Za-z][0-9A-Za-z_.-]{0,62}$/

/** Case does not tell names apart: this is the form that keys and maps use; records keep the form for display. */
export const foldName = (name: string): string =>
  // Lower case can undo the composition, so it is composed again; the result folds to itself.
  name.normalize('NFC').toLowerCase().normalize('NFC')

/**
 * Every etcd key of a cluster is built here and nowhere else.
 *
 * ```
 * /nyala/<cluster>/v1/cluster
 *                    /directories/<what>             which directory is its warehouse, and its metadata's
 *                    /leader
 *                    /members/coordinators/<id>      leased
 *                    /members/executors/<id>         leased
 *                    /catalog/root                   guard of the set of databases
 *                    /catalog/databases/<database>   record, and guard of the database's set of names
 *                    /catalog/names/<database>/<name> → id
 *                    /catalog/tables/<database>/<id> head
 *                    /catalog-mark                   put by each commit that changes the catalog
 *                    /sweep-mark                     put where it has to be proved which writes have ended
 *                    /queries/<id>  /statements/<id>  /txns/<id>
 *                    /readers/<coordinator>/<started at>          below which revision it reads nothing any more
 *                    /board/suspicions/<role>s/<id>/<by>          who doubts whom
 *                    /board/failures/<role>s/<id>/<incarnation>   leased: lives that ended badly of late
 *                    /board/roster/<executor>                     executors that ought to run
 *                    /board/coordinators/<id>                     leased for a day: coordinators that ought to run
 *                    /board/launches/<executor>                   replacements that the leader asks for
 *                    /board/quarantine/<hash>                     leased: statements under which kernels died of late
 * ```
 *
 * What the catalog is made of lies under one prefix, so that one watch gives one consistent view of it.
 * Heads lie under their database so that DROP DATABASE CASCADE is one atomic commit whatever the size.
 */
export class Keys {
  readonly cluster: string
  readonly root: string

  /** `cluster`: the name that separates clusters which share an etcd. */
  constructor(cluster: string) {
    assert(CLUSTER_NAME.test(cluster), () => `invalid cluster name ${JSON.stringify(cluster)}`)
    this.cluster = cluster
    this.root = `/nyala/${cluster}/${FORMAT}/`
  }

  get clusterRecord(): string {
    return `${this.root}cluster`
  }

  directory(what: ClusterDirectory): string {
    return `${this.root}directories/${what}`
  }

  get leader(): string {
    return `${this.root}leader`
  }

  get members(): string {
    return `${this.root}members/`
  }

  member(role: MemberRole, id: MemberId): string {
    return `${this.members}${role}s/${checked(id)}`
  }

  get catalog(): string {
    return `${this.root}catalog/`
  }

  /** Outside of the catalog: its revision is that of the newest change of it, and nobody needs to be told. */
  get catalogMark(): string {
    return `${this.root}catalog-mark`
  }

  /** Nobody reads it: a commit that puts something compares with what is, not with what a member of etcd last heard. */
  get sweepMark(): string {
    return `${this.root}sweep-mark`
  }

  get catalogRoot(): string {
    return `${this.catalog}root`
  }

  get databases(): string {
    return `${this.catalog}databases/`
  }

  database(database: string): string {
    return this.databases + encodeName(database)
  }

  names(database: string): string {
    return `${this.catalog}names/${encodeName(database)}/`
  }

  name(database: string, name: string): string {
    return this.names(database) + encodeName(name)
  }

  tables(database: string): string {
    return `${this.catalog}tables/${encodeName(database)}/`
  }

  /** The head of a relation: the one key that a data commit compares and moves. */
  table(database: string, id: string): string {
    return this.tables(database) + encodeId(id)
  }

  get queries(): string {
    return `${this.root}queries/`
  }

  query(id: string): string {
    return this.queries + encodeId(id)
  }

  get statements(): string {
    return `${this.root}statements/`
  }

  statement(id: string): string {
    return this.statements + encodeId(id)
  }

  /** What coordinators tell each other about members; one watch shows all of it. */
  get board(): string {
    return `${this.root}board/`
  }

  suspicion(about: { readonly role: MemberRole; readonly id: MemberId }, by: MemberId): string {
    return `${this.board}suspicions/${about.role}s/${checked(about.id)}/${checked(by)}`
  }

  failure(life: {
    readonly role: MemberRole
    readonly id: MemberId
    readonly incarnation: number
  }): string {
    return `${this.board}failures/${life.role}s/${checked(life.id)}/${life.incarnation}`
  }

  rosterEntry(executor: MemberId): string {
    return `${this.board}roster/${checked(executor)}`
  }

  launch(executor: MemberId): string {
    return `${this.board}launches/${checked(executor)}`
  }

  coordinatorEntry(coordinator: MemberId): string {
    return `${this.board}coordinators/${checked(coordinator)}`
  }

  quarantine(hash: string): string {
    return `${this.board}quarantine/${encodeId(hash)}`
  }

  get readers(): string {
    return `${this.root}readers/`
  }

  /** Of one process of a coordinator: one that has begun anew does not speak for what the former may still read. */
  reader(owner: { readonly id: MemberId; readonly startedAt: number }): string {
    return `${this.readers}${checked(owner.id)}/${owner.startedAt}`
  }

  get txns(): string {
    return `${this.root}txns/`
  }

  txn(id: string): string {
    return this.txns + encodeId(id)
  }
}

/** What a key under `catalog/` is about; names are folded. `undefined` for a key that this version does not know. */
export type CatalogKey =
  | { readonly kind: 'root' }
  | { readonly kind: 'database'; readonly database: string }
  | { readonly kind: 'name'; readonly database: string; readonly name: string }
  | { readonly kind: 'table'; readonly database: string; readonly id: string }

export function parseCatalogKey(keys: Keys, key: string): CatalogKey | undefined {
  if (!key.startsWith(keys.catalog)) return undefined
  const [kind, first, second, ...more] = key.slice(keys.catalog.length).split('/')
  if (more.length > 0) return undefined
  if (kind === 'root' && first === undefined) return { kind }
  if (first === undefined) return undefined
  const database = decodeURIComponent(first)
  if (kind === 'databases' && second === undefined) return { kind: 'database', database }
  if (second === undefined) return undefined
  if (kind === 'names') return { kind: 'name', database, name: decodeURIComponent(second) }
  if (kind === 'tables') return { kind: 'table', database, id: decodeURIComponent(second) }
  return undefined
}

/** Which member a key under `members/` belongs to. */
export function parseMemberKey(
  keys: Keys,
  key: string,
): { readonly role: MemberRole; readonly id: string } | undefined {
  if (!key.startsWith(keys.members)) return undefined
  const [folder, id, ...more] = key.slice(keys.members.length).split('/')
  if (id === undefined || more.length > 0) return undefined
  if (folder === 'coordinators') return { role: 'coordinator', id }
  if (folder === 'executors') return { role: 'executor', id }
  return undefined
}

export type BoardKey =
  'suspicion' | 'failure' | 'roster' | 'coordinatorEntry' | 'launch' | 'quarantine'

/** What a key under `board/` is about. `undefined` for a key that this version does not know. */
export function parseBoardKey(keys: Keys, key: string): BoardKey | undefined {
  if (!key.startsWith(keys.board)) return undefined
  const folder = key.slice(keys.board.length).split('/')[0]
  return BOARD_FOLDERS.get(folder ?? '')
}

const BOARD_FOLDERS: ReadonlyMap<string, BoardKey> = new Map([
  ['suspicions', 'suspicion'],
  ['failures', 'failure'],
  ['roster', 'roster'],
  ['coordinators', 'coordinatorEntry'],
  ['launches', 'launch'],
  ['quarantine', 'quarantine'],
])

function checked(id: MemberId): MemberId {
  assert(isMemberId(id), () => `invalid member id ${JSON.stringify(id)}`)
  return id
}

/** Percent-encodes all but letters, digits and `-_.!~*'()`, so that a name can hold '/' and any script. */
function encodeName(name: string): string {
  assert(name.length > 0, 'empty name in a key')
  return encodeURIComponent(foldName(name))
}

/** Ids are case-sensitive and made by us; encoding keeps a malformed one from leaving its folder. */
function encodeId(id: string): string {
  assert(id.length > 0, 'empty id in a key')
  return encodeURIComponent(id)
}
