import { SqlError } from '@nyala/client/protocol'
import type { TableRecord } from '@nyala/metastore'
import {
  columnsOf,
  namedSnapshots,
  schemaOf,
  snapshotAt,
  snapshotOf,
  timeText,
} from '../iceberg/history.ts'
import type { Snapshot, TableMetadata } from '../iceberg/metadata.ts'
import { someNode } from '../sql/ir/tree.ts'
import { renderExpression } from '../sql/renderer.ts'
import type { ManifestStore } from '../table/manifest-store.ts'
import { isUnrepeatable, type KernelFunctions } from './functions.ts'
import type { Mirror } from './mirror.ts'
import type { AsOf, TableVersion } from './resolve.ts'

/** Finds the snapshots that FOR SYSTEM_TIME AS OF and FOR SYSTEM_VERSION AS OF of one query name. */
export class TableVersions {
  readonly #mirror: Mirror
  readonly #manifests: ManifestStore
  readonly #functions: KernelFunctions
  readonly #timezone: string
  #move = false

  constructor(parts: {
    readonly mirror: Mirror
    readonly manifests: ManifestStore
    readonly functions: KernelFunctions
    readonly timezone: string
  }) {
    this.#mirror = parts.mirror
    this.#manifests = parts.manifests
    this.#functions = parts.functions
    this.#timezone = parts.timezone
  }

  /** One of them depends on when it is asked. */
  get move(): boolean {
    return this.#move
  }

  /** Fails with `undefined_object` where there is no such snapshot, and with what is wrong in the expression. */
  async find(table: TableRecord, asOf: AsOf): Promise<TableVersion> {
    if (table.kind !== 'managed' && table.format !== 'iceberg') {
      throw new SqlError(
        'feature_not_supported',
        `table "${table.name}" is external: it has no snapshots`,
      )
    }
    if (someNode(asOf.value, ({ kind }) => /subquery|exists|parameter|star/i.test(kind))) {
      throw new SqlError('feature_not_supported', 'AS OF takes a constant expression')
    }
    this.#move ||= isUnrepeatable(asOf.value, this.#functions)
    const metadata = await this.#manifests.iceberg.metadata(table)
    const snapshot =
      asOf.unit === 'version'
        ? await this.#byVersion(table, metadata, asOf)
        : await this.#byTime(table, metadata, asOf)
    const columns = columnsOf(metadata, schemaOf(metadata, snapshot))
    return { table: { ...table, columns }, snapshot: snapshot['snapshot-id'] }
  }

  async #byVersion(table: TableRecord, metadata: TableMetadata, asOf: AsOf): Promise<Snapshot> {
    const value = await this.#mirror.constant(renderExpression(asOf.value), this.#timezone)
    if (value === null) throw nullError('VERSION')
    const id = /^-?\d+$/.test(value) ? BigInt(value) : metadata.refs?.[value]?.['snapshot-id']
    const found = id === undefined ? undefined : snapshotOf(metadata, id)
    if (found !== undefined) return found
    const isRounded = /^\d+(?:\.\d+)?e\+\d+$/i.test(value)
    throw new SqlError('undefined_object', `table "${table.name}" has no snapshot "${value}"`, {
      hint: isRounded
        ? 'a floating-point number has fewer digits than the id of a snapshot: give it as a whole number or as text'
        : namedSnapshots(table.name, metadata),
    })
  }

  async #byTime(table: TableRecord, metadata: TableMetadata, asOf: AsOf): Promise<Snapshot> {
    const value = await this.#timeUs(renderExpression(asOf.value))
    const timeMs = Math.floor(Number(value) / 1000)
    const found = snapshotAt(metadata, timeMs)
    if (found !== undefined) return found
    const time = timeText(timeMs)
    const message = `table "${table.name}" has no snapshot that is as old as ${time}`
    throw new SqlError('undefined_object', message, { hint: namedSnapshots(table.name, metadata) })
  }

  /** The time that an expression names, in microseconds since 1970-01-01 UTC, as text. */
  async #timeUs(expression: string): Promise<string> {
    const time = `CAST(${expression} AS TIMESTAMP WITH TIME ZONE)`
    try {
      const value = await this.#mirror.constant(`epoch_us(${time})`, this.#timezone)
      if (value !== null) return value
    } catch (error) {
      throw noTime(error)
    }
    const text = await this.#mirror.constant(time, this.#timezone)
    if (text === null) throw nullError('TIME')
    const message = `the time of FOR SYSTEM_TIME AS OF is ${text}`
    throw new SqlError('invalid_parameter_value', message, {
      hint: 'leave AS OF out for what is newest',
    })
  }
}

/** What is said of a value that is none of a time: of most types the kernel does not say what would do. */
function noTime(error: unknown): unknown {
  const type = /cast \((.+) -> TIMESTAMP WITH TIME ZONE\)/.exec(
    String((error as Error).message),
  )?.[1]
  if (type === undefined) return error
  const message = `FOR SYSTEM_TIME AS OF takes a time, not a value of type ${type}`
  const hint = 'to_timestamp(seconds) and epoch_ms(milliseconds) make a time of a number'
  return new SqlError('datatype_mismatch', message, { hint, cause: error })
}

const nullError = (what: string): SqlError =>
  new SqlError('invalid_parameter_value', `the value of FOR SYSTEM_${what} AS OF is NULL`)
