import { positionAt, SqlError } from '@nyala/client/protocol'
import type { TableRecord } from '@nyala/metastore'
import { didYouMean } from '../bind/nearest.ts'
import type { Snapshot, TableMetadata } from '../iceberg/metadata.ts'
import { expiredSnapshots, snapshotAgeMs, withCurrentSnapshot } from '../iceberg/expire.ts'
import { isForgetful, snapshotsToKeep } from '../iceberg/snapshot.ts'
import { namedSnapshots, snapshotAt, snapshotOf, timeText } from '../iceberg/history.ts'
import { fromUri, toUri } from '../iceberg/table-files.ts'
import { quoteIdentifier, quoteLiteral } from '../sql/escape.ts'
import type { Queries } from '../server/query-statement.ts'
import type { Services } from '../server/services.ts'
import type { StatementContext, StatementOutcome } from '../server/statement-context.ts'
import type { TableVerbs } from '../server/table-verbs.ts'
import type { ExecuteProcedure } from '../sql/statement.ts'
import type { TableChange } from './change.ts'
import type { StatementIdentity } from './committer.ts'
import { smallFiles, SMALL_FILE_BYTES } from './compaction.ts'
import { expiration } from './expiration.ts'
import { managedTable, PART, withTarget } from './managed-table.ts'
import { ORPHAN_AGE_MIN_MS, ORPHAN_AGE_MS, removeOrphans } from './orphans.ts'
import { planRows } from './plan-rows.ts'
import { ProcedureArguments } from './procedure-arguments.ts'
import { checkWritten, leave, rewriteOf } from './row-changes.ts'
import { stageRows } from './stage-rows.ts'
import { baseOf, stageMetadata, withManifest } from './table-change.ts'

const COMMAND = 'ALTER TABLE'

interface Call {
  readonly table: TableRecord
  readonly args: ProcedureArguments
  readonly context: StatementContext
  readonly identity: StatementIdentity
}

interface Procedure {
  /** Names of its arguments; the first may be left out before its value. */
  readonly args: readonly string[]
  run(call: Call): Promise<StatementOutcome>
}

/** ALTER TABLE … EXECUTE: what keeps the snapshots and files of managed tables in order. */
export class Maintenance {
  readonly #services: Services
  readonly #tables: TableVerbs
  readonly #queries: Queries
  readonly #procedures: ReadonlyMap<string, Procedure>

  constructor(
    services: Services,
    parts: { readonly tables: TableVerbs; readonly queries: Queries },
  ) {
    this.#services = services
    this.#tables = parts.tables
    this.#queries = parts.queries
    const rollback = { args: ['snapshot_id'], run: (call: Call) => this.#rollback(call) }
    const compact = { args: ['file_size_threshold'], run: (call: Call) => this.#compact(call) }
    const times = ['older_than', 'retention_threshold']
    const expire = { args: [...times, 'retain_last'], run: (call: Call) => this.#expire(call) }
    const orphans = { args: times, run: (call: Call) => this.#removeOrphans(call) }
    this.#procedures = new Map([
      ['rollback', rollback],
      ['rollback_to_snapshot', rollback],
      ['expire_snapshots', expire],
      ['remove_orphan_files', orphans],
      ['optimize', compact],
      ['rewrite_data_files', compact],
    ])
  }

  run(statement: ExecuteProcedure, context: StatementContext): Promise<StatementOutcome> {
    const procedure = this.#procedures.get(statement.procedure)
    if (procedure === undefined) {
      const names = [...this.#procedures.keys()]
      const message = `table procedure "${statement.procedure}" does not exist`
      throw new SqlError('undefined_function', message, {
        position: positionAt(context.sql, statement.at),
        hint: didYouMean(statement.procedure, names) ?? `there are ${names.join(', ')}`,
      })
    }
    return this.#services.writes.once(context, async (identity) => {
      const table = managedTable(this.#tables, statement.table, context)
      const { frontEnd, mirror } = this.#services
      const using = { frontEnd, mirror, context }
      const args = await ProcedureArguments.compute(statement, procedure.args, using)
      return procedure.run({ table, args, context, identity })
    })
  }

  /** Another snapshot is the table's contents again; those that came later are still known, until they expire. */
  async #rollback({ table, args, context, identity }: Call): Promise<StatementOutcome> {
    const { manifests, writes, clock } = this.#services
    const metadata = await manifests.iceberg.metadata(table)
    const snapshot = await this.#snapshotTo(metadata, { table, args, context })
    context.notices.push(
      `table "${table.name}" is as it was at snapshot ${snapshot['snapshot-id']} ` +
        `of ${timeText(snapshot['timestamp-ms'])}`,
    )
    const request = { identity, context, command: COMMAND, locations: [table.location] }
    return writes.staged(request, (write) => {
      const apply: TableChange['apply'] = async (current, attempt) => {
        const nowMs = clock.wall()
        const file = current.manifest === null ? undefined : toUri(current.manifest.path)
        const before = await manifests.iceberg.metadata(current)
        const next = withCurrentSnapshot(before, snapshot, { file, nowMs })
        const name = `${write.id}-${attempt}`
        const manifest = await stageMetadata(table.location, next, name)
        return withManifest(current, { manifest, forgets: isForgetful(before, next) }, nowMs)
      }
      return write.update({ base: table, change: { kind: 'replaceAll' }, apply }, { rows: null })
    })
  }

  /** The argument is the id of a snapshot, or a time at which it was the table's contents. */
  async #snapshotTo(
    metadata: TableMetadata,
    { table, args, context }: Pick<Call, 'table' | 'args' | 'context'>,
  ): Promise<Snapshot> {
    const text = args.text('snapshot_id')
    if (text === undefined) {
      throw new SqlError('syntax_error', 'rollback takes the id of a snapshot, or a time', {
        hint: `DESCRIBE HISTORY ${table.name} lists them`,
      })
    }
    const isId = /^\d+$/.test(text)
    const found = isId
      ? snapshotOf(metadata, BigInt(text))
      : snapshotAt(metadata, await this.#time(text, context))
    if (found !== undefined) return found
    const what = isId ? `snapshot ${text}` : `snapshot that is as old as ${text}`
    throw new SqlError('undefined_object', `table "${table.name}" has no ${what}`, {
      hint: namedSnapshots(table.name, metadata),
    })
  }

  /** Milliseconds since 1970-01-01 UTC. */
  async #time(text: string, { settings }: StatementContext): Promise<number> {
    const sql = `epoch_us(CAST(${quoteLiteral(text)} AS TIMESTAMP WITH TIME ZONE))`
    const value = await this.#services.mirror.constant(sql, settings.get('timezone'))
    return Math.floor(Number(value) / 1_000)
  }

  /** The time that `older_than` or `retention_threshold` says; undefined where neither is given. */
  async #cutoff({ args, context }: Pick<Call, 'args' | 'context'>): Promise<number | undefined> {
    const [time, age] = [args.text('older_than'), args.duration('retention_threshold')]
    if (time !== undefined && age !== undefined) {
      throw new SqlError('syntax_error', 'older_than and retention_threshold say the same twice')
    }
    if (time !== undefined) return this.#time(time, context)
    return age === undefined ? undefined : this.#services.clock.wall() - age
  }

  /** Forgets snapshots; their files go when nobody can be reading them any more. */
  async #expire(call: Call): Promise<StatementOutcome> {
    const { table, args, context, identity } = call
    const { manifests, writes, clock } = this.#services
    const metadata = await manifests.iceberg.metadata(table)
    const how = {
      olderThanMs: (await this.#cutoff(call)) ?? clock.wall() - snapshotAgeMs(metadata),
      keep: args.count('retain_last') ?? snapshotsToKeep(metadata),
    }
    const { size } = expiredSnapshots(metadata, how)
    const request = { identity, context, command: COMMAND, locations: [table.location] }
    return writes.staged(request, (write) => {
      context.notices.push(`${size} snapshots of table "${table.name}" have expired`)
      if (size === 0) return leave(table, write)
      return write.update(
        expiration(table, () => how, this.#services, write),
        { rows: null },
      )
    })
  }

  /** Removes files that lie in the table's directory and that nothing names. */
  async #removeOrphans(call: Call): Promise<StatementOutcome> {
    const { table, context } = call
    const { clock } = this.#services
    const olderThanMs = (await this.#cutoff(call)) ?? clock.wall() - ORPHAN_AGE_MS
    if (olderThanMs > clock.wall() - ORPHAN_AGE_MIN_MS) {
      throw new SqlError(
        'invalid_parameter_value',
        'orphans must be older than an hour: younger files may be those of a statement that runs',
      )
    }
    const { patience } = context
    const removed = await removeOrphans(table, { olderThanMs, patience }, this.#services)
    context.notices.push(`${removed} files of table "${table.name}" were removed`)
    return { command: COMMAND }
  }

  /** Writes small files anew as larger ones; rows and their values stay as they are. */
  async #compact({ table, args, context, identity }: Call): Promise<StatementOutcome> {
    const { manifests, writes, frontEnd } = this.#services
    const threshold = args.bytes('file_size_threshold') ?? SMALL_FILE_BYTES
    const base = await baseOf(table, manifests.iceberg)
    const files = smallFiles(await manifests.iceberg.specFiles(table), {
      threshold,
      specId: base.metadata['default-spec-id'],
    })
    const request = { identity, context, command: COMMAND, locations: [table.location] }
    return writes.staged(request, async (write) => {
      if (files.length === 0) {
        context.notices.push(`no files of table "${table.name}" are to be written anew`)
        return leave(table, write)
      }
      const paths = new Set(files.map(({ path }) => fromUri(path)))
      const inner = withTarget(context, table, paths)
      const columns = table.columns.map(({ name }) => quoteIdentifier(name)).join(', ')
      const parts = { queries: this.#queries, frontEnd }
      const planned = await planRows(`SELECT ${columns} FROM ${PART}`, inner, parts)
      const addition = await stageRows(this.#queries, base, write, { planned, context: inner })
      checkWritten(
        addition,
        files.reduce((sum, file) => sum + file.rows, 0),
      )
      const removed = new Set(files.map(({ path }) => path))
      context.notices.push(
        `${files.length} files of table "${table.name}" were written anew as ${addition.files.length}`,
      )
      const rewrite = { removed, addition, operation: 'replace' as const }
      return write.update(rewriteOf(table, rewrite, this.#services, write), { rows: null })
    })
  }
}
