import type { TableMetadata } from './metadata.ts'
import { type PartitionField, partitionFields } from './partition-field.ts'
import { type PartitionValue, valueText } from './partition-transform.ts'
import type { IcebergField } from './types.ts'

/** How the files of a table lie to its partitions. A table whose spec was changed has files of several specs. */
export interface PartitionLayout {
  /** Of all specs together, those of the current one first; fields without values are left out. */
  readonly fields: readonly PartitionField[]
  /** The distinct tuples of values, by the number that each file has; undefined where its spec has no such field. */
  readonly values: readonly (readonly (PartitionValue | undefined)[])[]
}

/** Numbers the partitions of a table's files. */
export class PartitionNumbers {
  readonly #fields: readonly PartitionField[]
  /** For each spec the place of each of its fields among all. */
  readonly #places = new Map<number, readonly number[]>()
  readonly #numbers = new Map<string, number>()
  readonly #values: (readonly (PartitionValue | undefined)[])[] = []

  constructor(metadata: TableMetadata, columns: readonly IcebergField[]) {
    const current = metadata['default-spec-id']
    const specs = metadata['partition-specs'].toSorted(
      (a, b) => Number(b['spec-id'] === current) - Number(a['spec-id'] === current),
    )
    const all: PartitionField[] = []
    for (const spec of specs) {
      const places = partitionFields(spec, columns).map((field) => {
        const isNamed = field.transform.kind !== 'void' && field.source !== undefined
        const place = all.findIndex(({ id }) => id === field.id)
        if (place >= 0 || !isNamed) return place
        return all.push(field) - 1
      })
      this.#places.set(spec['spec-id'], places)
    }
    this.#fields = all
  }

  /** The number of a partition, from 0. */
  numberOf(specId: number, partition: readonly PartitionValue[]): number {
    const values = this.#fields.map((): PartitionValue | undefined => undefined)
    const places = this.#places.get(specId) ?? []
    places.forEach((place, i) => {
      if (place >= 0) values[place] = partition[i] ?? null
    })
    const key = JSON.stringify(values.map(keyOf))
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const number = this.#values.push(values) - 1
    this.#numbers.set(key, number)
    return number
  }

  /** Undefined for a table that never had partitions. */
  layout(): PartitionLayout | undefined {
    if (this.#fields.length === 0) return undefined
    return { fields: this.#fields, values: this.#values }
  }

  /** The tuples as people write them. */
  texts(): readonly (readonly (string | null)[])[] {
    if (this.#values.length === 0) return this.#fields.length === 0 ? [[]] : []
    return this.#values.map((values) =>
      values.map((value, i) => {
        const field = this.#fields[i]
        if (value === undefined || field === undefined) return null
        return valueText(field.transform, field.source?.type ?? field.type, value)
      }),
    )
  }
}

const keyOf = (value: PartitionValue | undefined): unknown =>
  value === undefined ? 0 : typeof value === 'bigint' ? [String(value)] : value
