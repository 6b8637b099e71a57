import t from 'tap'
import { decodeRange, encodeGet } from './etcd-range.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

function varint(value: bigint): Buffer {
  const bytes: number[] = []
  for (let left = value; ; left >>= 7n) {
    if (left < 0x80n) return Buffer.from([...bytes, Number(left)])
    bytes.push(Number(left & 0x7fn) | 0x80)
  }
}

const numeric = (field: number, value: bigint): Buffer =>
  Buffer.concat([varint(BigInt(field << 3)), varint(value)])

const nested = (field: number, ...parts: readonly Buffer[]): Buffer => {
  const bytes = Buffer.concat(parts)
  return Buffer.concat([varint(BigInt((field << 3) | 2)), varint(BigInt(bytes.length)), bytes])
}

const CLUSTER = 2n ** 64n - 12n
const LEASE = 2n ** 63n - 1n

/** As etcd answers a read of `/k`: header, one key, count. */
const ANSWER = Buffer.concat([
  nested(1, numeric(1, CLUSTER), numeric(2, 2n ** 63n), numeric(3, 2n ** 51n), numeric(4, 2n)),
  nested(
    2,
    ...[nested(1, Buffer.from('/k')), numeric(2, 2n), numeric(3, 3n), numeric(4, 2n)],
    ...[nested(5, Buffer.from('x')), numeric(6, LEASE)],
  ),
  numeric(4, 1n),
])

t.test('a read of one key is its length and its bytes', async (t) => {
  t.same(encodeGet(Buffer.from('/k')), hex('0a 02 2f6b'))
  const long = encodeGet(Buffer.alloc(300, 'x'))
  t.same(long.subarray(0, 3), hex('0a ac02'))
  t.equal(long.length, 303)
})

t.test('numbers of 64 bits are read whole', async (t) => {
  const { header, kvs } = decodeRange(ANSWER)
  t.equal(header.revision, (2n ** 51n).toString())
  t.equal(header.cluster_id, CLUSTER.toString())
  const [kv] = kvs
  t.match(kv, { create_revision: '2', mod_revision: '3', lease: LEASE.toString() })
  t.equal(kv?.key.toString(), '/k')
  t.equal(kv?.value.toString(), 'x')
})

t.test('what is absent is empty, and what is not known is passed over', async (t) => {
  const { header, kvs } = decodeRange(hex('0a02 1805 1a00 20 00 7a 01 ff'))
  t.same(header, { cluster_id: '0', revision: '5' })
  t.same(kvs, [])
})

t.test('bytes that are no answer are refused', async (t) => {
  t.throws(() => decodeRange(ANSWER.subarray(0, 20)), /cut/)
  t.throws(() => decodeRange(ANSWER.subarray(0, ANSWER.length - 1)), /cut/)
  t.throws(() => decodeRange(hex('0d 00000000')), /kind 5/)
  t.throws(() => decodeRange(hex('08 01')), /field 1 of etcd is a number/)
  t.throws(() => decodeRange(hex('0a02 1a00')), /field 3 of etcd is no number/)
  t.throws(() => decodeRange(hex('10 01')), /a number/)
})
