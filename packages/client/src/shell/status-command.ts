import type { ClusterStatus } from '../protocol/messages.ts'
import { parseArguments } from './arguments.ts'
import { EXIT, type ShellIo, UsageError } from './shell-io.ts'
import { resolveTarget } from './target.ts'
import { textTable } from './text-table.ts'

const USAGE = `usage: nyala status [--json] [--url URL] [--dir DIR]

Shows the members of a cluster, its leader and epoch, running queries and transactions in doubt.

exit code: 0 healthy, 1 not: no leader, or a member that is not alive, 2 nobody answers, 3 usage
`

/** `nyala status`: resolves with the exit code. Errors of the connection are thrown. */
export async function runStatus(args: readonly string[], io: ShellIo): Promise<number> {
  const { values, positionals } = parseArguments(args, {
    json: { type: 'boolean' },
    url: { type: 'string' },
    dir: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  })
  if (positionals[0] !== undefined) throw new UsageError(`"${positionals[0]}" is not expected here`)
  if (values.help === true) {
    io.stdout.write(USAGE)
    return EXIT.ok
  }
  const url = await resolveTarget({ url: values.url, dir: values.dir }, io.environment)
  await using database = await io.connect({ url, application: 'nyala status' })
  const status = await database.status()
  io.stdout.write(values.json === true ? `${JSON.stringify(status)}\n` : statusText(status))
  return troublesOf(status).length === 0 ? EXIT.ok : EXIT.failed
}

/** The status as tables for people. */
export function statusText(status: ClusterStatus): string {
  const { cluster, leader, epoch, members, etcd, queries, transactions } = status
  const parts = [
    `cluster ${cluster}   leader ${leader ?? 'none'}   epoch ${epoch ?? 'none'}   ${healthText(status)}\n`,
    membersText(members),
    etcdText(etcd),
  ]
  parts.push(queries.length === 0 ? 'no queries\n' : queriesText(queries))
  const inDoubt = transactions.length
  parts.push(inDoubt === 0 ? 'no transactions in doubt\n' : `${inDoubt} transactions in doubt\n`)
  return parts.join('\n')
}

function healthText(status: ClusterStatus): string {
  const troubles = troublesOf(status)
  return troubles.length === 0 ? 'healthy' : troubles.join(', ')
}

/** What an operator ought to look at, one by one; none where the cluster is healthy. */
function troublesOf({ leader, members, etcd }: ClusterStatus): readonly string[] {
  return [
    ...(leader === null ? ['no leader'] : []),
    ...members.filter((m) => m.state !== 'alive').map((m) => `${m.id} ${m.state}`),
    ...etcd.filter((e) => !e.healthy).map((e) => `etcd ${e.id} down`),
    ...new Set(etcd.flatMap(({ alarms = [] }) => alarms.map((alarm) => `etcd alarm ${alarm}`))),
  ]
}

const membersText = (members: ClusterStatus['members']): string =>
  textTable(
    ['id', 'role', 'address', 'host', 'pid', 'incarnation', 'state', 'load'],
    members.map((m) => [
      m.id,
      m.role,
      m.address,
      hostName(m.host),
      String(m.pid),
      String(m.incarnation),
      m.state,
      loadText(m.load),
    ]),
  )

/** A host is told by its name and an id of its boot, which is for programs. */
const hostName = (host: string): string => host.split('/')[0] ?? host

const loadText = (load: Readonly<Record<string, number>>): string =>
  Object.entries(load)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')

const etcdText = (etcd: ClusterStatus['etcd']): string =>
  textTable(
    ['etcd', 'address', 'pid', 'leader', 'healthy'],
    etcd.map((e) => [
      e.id,
      e.address,
      e.pid === null ? '' : String(e.pid),
      e.leader ? 'yes' : '',
      e.healthy ? (e.alarms ?? ['yes']).join(', ') : 'no',
    ]),
  )

/** A statement is shown up to this length. */
const SQL_CHARACTERS = 60

export function queriesText(queries: ClusterStatus['queries']): string {
  const someWait = queries.some((q) => q.waitsFor !== undefined)
  return textTable(
    ['query', 'coordinator', 'state', 'elapsed', 'tasks', 'rows', 'sql'].concat(
      someWait ? ['waits, as'] : [],
    ),
    queries.map((q) => [
      q.id,
      q.coordinator,
      q.state,
      `${(q.elapsedMs / 1000).toFixed(1)} s`,
      `${q.tasksDone}/${q.tasksTotal}`,
      String(q.rows),
      shortened(q.sql.replace(/\s+/g, ' ')),
      ...(someWait ? [q.waitsFor ?? ''] : []),
    ]),
  )
}

const shortened = (text: string): string =>
  text.length <= SQL_CHARACTERS ? text : `${text.slice(0, SQL_CHARACTERS - 1)}…`
