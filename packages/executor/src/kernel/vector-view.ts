import duckdb, { type Vector } from '@duckdb/node-bindings'
import type { WireType } from './wire-type.ts'

/**
 * The memory of one vector of a chunk. Everything in it is a view of the kernel's own memory, which lives as long as
 * the chunk: whoever reads must hold the chunk, and copy what it keeps. Sizes are not checked by the binding, so they
 * are computed here and nowhere else.
 */
export interface VectorView {
  readonly data: Uint8Array
  /** Least significant bit first, as Arrow has it; null where no value is NULL. */
  readonly validity: Uint8Array | null
  readonly children: readonly VectorView[]
}

const NO_DATA = new Uint8Array(0)
const NO_CHILDREN: readonly VectorView[] = []

/** Bytes of one value in the vector itself; 0 where the values lie in child vectors. */
function widthOf(type: WireType): number {
  switch (type.kind) {
    case 'boolean':
      return 1
    case 'fixed':
      return type.width
    case 'decimal':
      return type.storedWidth
    case 'enum':
      return type.indexWidth
    case 'struct':
    case 'array':
      return 0
    // string_t, hugeint_t, interval_t, and list_entry_t: 16 bytes each.
    case 'text':
    case 'binary':
    case 'uuid':
    case 'hugeint':
    case 'interval':
    case 'list':
    case 'map':
      return 16
  }
}

/** Opens the first `count` values of a vector. */
export function viewVector(vector: Vector, type: WireType, count: number): VectorView {
  const width = widthOf(type)
  return {
    data: width === 0 || count === 0 ? NO_DATA : duckdb.vector_get_data(vector, count * width),
    validity: count === 0 ? null : validityOf(vector, count),
    children: childrenOf(vector, type, count),
  }
}

// The binding's type leaves out that a vector without NULLs has no mask.
const validityOf = (vector: Vector, count: number): Uint8Array | null =>
  duckdb.vector_get_validity(vector, ((count + 63) >> 6) * 8) as Uint8Array | null

function childrenOf(vector: Vector, type: WireType, count: number): readonly VectorView[] {
  switch (type.kind) {
    case 'list': {
      const child = duckdb.list_vector_get_child(vector)
      return [viewVector(child, type.child, duckdb.list_vector_get_size(vector))]
    }
    case 'map': {
      // A map is a list of (key, value) structs.
      const entries = duckdb.list_vector_get_child(vector)
      const size = duckdb.list_vector_get_size(vector)
      return [
        viewVector(duckdb.struct_vector_get_child(entries, 0), type.key, size),
        viewVector(duckdb.struct_vector_get_child(entries, 1), type.value, size),
      ]
    }
    case 'array':
      return [viewVector(duckdb.array_vector_get_child(vector), type.child, count * type.size)]
    case 'struct':
      return type.fields.map((field, i) =>
        viewVector(duckdb.struct_vector_get_child(vector, i), field.type, count),
      )
    case 'boolean':
    case 'fixed':
    case 'decimal':
    case 'text':
    case 'binary':
    case 'enum':
    case 'uuid':
    case 'hugeint':
    case 'interval':
      return NO_CHILDREN
  }
}
