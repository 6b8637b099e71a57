import type { ICompare, IKeyValue, IRequestOp, IResponseOp } from 'etcd3'
import {
  type Compare,
  type KeyValue,
  type LeaseId,
  type Operation,
  type OperationResult,
  parseRevision,
} from './kv.ts'

/** The first key after all that start with `prefix`. */
export function prefixEnd(prefix: string): Buffer {
  const bytes = Buffer.from(prefix)
  for (let i = bytes.length - 1; i >= 0; i--) {
    const byte = bytes[i] ?? 0
    if (byte === 0xff) continue
    bytes[i] = byte + 1
    return bytes.subarray(0, i + 1)
  }
  // An empty prefix: etcd reads a single zero byte as "to the end".
  return Buffer.from([0])
}

export function toKeyValue(kv: IKeyValue): KeyValue {
  return {
    key: kv.key.toString(),
    value: kv.value.toString(),
    createRevision: parseRevision(kv.create_revision),
    modRevision: parseRevision(kv.mod_revision),
    lease: kv.lease === '0' ? undefined : (kv.lease as LeaseId),
  }
}

export function toCompare(compare: Compare): ICompare {
  const key = Buffer.from(compare.key)
  switch (compare.kind) {
    case 'absent':
      return { key, result: 'Equal', target: 'Create', create_revision: 0 }
    case 'createRevision':
      return { key, result: 'Equal', target: 'Create', create_revision: compare.equals }
    case 'modRevision':
      return { key, result: 'Equal', target: 'Mod', mod_revision: compare.equals }
    case 'value':
      return { key, result: 'Equal', target: 'Value', value: Buffer.from(compare.equals) }
  }
}

export function toRequestOp(operation: Operation): IRequestOp {
  switch (operation.kind) {
    case 'put': {
      const put = { key: Buffer.from(operation.key), value: Buffer.from(operation.value) }
      const { lease } = operation
      return { request_put: lease === undefined ? put : { ...put, lease } }
    }
    case 'delete':
      return { request_delete_range: { key: Buffer.from(operation.key) } }
    case 'deletePrefix': {
      const { prefix } = operation
      return { request_delete_range: { key: Buffer.from(prefix), range_end: prefixEnd(prefix) } }
    }
    case 'get':
      return { request_range: { key: Buffer.from(operation.key) } }
  }
}

/** Only one field of a response is set, whatever its type says. */
export function toOperationResult(response: Partial<IResponseOp>): OperationResult {
  if (response.response_range) {
    const kv = response.response_range.kvs[0]
    return { kind: 'get', item: kv === undefined ? undefined : toKeyValue(kv) }
  }
  if (response.response_delete_range) {
    return { kind: 'delete', deleted: Number(response.response_delete_range.deleted) }
  }
  return { kind: 'put' }
}
