import t from 'tap'
import * as s from './schema.ts'

const message = s.union({
  put: s.object({
    kind: s.literal('put'),
    key: s.string,
    count: s.natural,
    ratio: s.optional(s.number),
    flag: s.nullable(s.boolean),
    tags: s.array(s.oneOf('a', 'b')),
    map: s.record(s.string),
  }),
  end: s.object({ kind: s.literal('end'), body: s.json }),
})

const PUT = { kind: 'put', key: 'k', count: 1, flag: null, tags: ['a'], map: { x: 'y' } }

const refusal = (value: unknown): string => {
  try {
    message.decode(value, 'message')
  } catch (error) {
    if (error instanceof s.DecodeError) return error.message
    throw error
  }
  return 'accepted'
}

t.test('a message of declared fields decodes to itself', async (t) => {
  t.strictSame(message.decode(PUT, 'message'), PUT)
  t.strictSame(message.decode({ ...PUT, ratio: 0.5 }, 'message'), { ...PUT, ratio: 0.5 })
  t.strictSame(message.decode({ kind: 'end', body: [1, { a: null }] }, 'm'), {
    kind: 'end',
    body: [1, { a: null }],
  })
})

t.test('a field that is not declared is refused by name', async (t) => {
  t.equal(refusal({ ...PUT, extra: 1 }), 'message.extra: unknown field')
  t.equal(
    refusal(JSON.parse('{"kind":"end","body":1,"__proto__":{}}')),
    'message.__proto__: unknown field',
  )
})

t.test('a refusal names the path and what was found', async (t) => {
  t.equal(refusal(null), 'message: expected object, got null')
  t.equal(refusal([]), 'message: expected object, got array')
  t.equal(refusal({ kind: 'no' }), 'message.kind: unknown kind "no"')
  t.equal(refusal({ kind: 'toString' }), 'message.kind: unknown kind "toString"')
  t.equal(refusal({}), 'message.kind: unknown kind undefined')
  t.equal(refusal({ ...PUT, key: 1 }), 'message.key: expected string, got number')
  t.equal(refusal({ ...PUT, count: -1 }), 'message.count: expected natural, got number')
  t.equal(refusal({ ...PUT, count: 1.5 }), 'message.count: expected natural, got number')
  t.equal(refusal({ ...PUT, count: 2 ** 53 }), 'message.count: expected natural, got number')
  t.equal(refusal({ ...PUT, flag: undefined }), 'message.flag: expected boolean, got undefined')
  t.equal(
    refusal({ ...PUT, tags: ['a', 'c'] }),
    'message.tags[1]: expected one of a, b, got string',
  )
  t.equal(refusal({ ...PUT, tags: { 0: 'a' } }), 'message.tags: expected array, got object')
  t.equal(refusal({ ...PUT, map: { x: 1 } }), 'message.map.x: expected string, got number')
  t.equal(refusal({ ...PUT, map: [] }), 'message.map: expected object, got array')
  t.equal(refusal({ kind: 'put' }), 'message.key: expected string, got undefined')
})

t.test('a record keeps a key that is special in JavaScript as a key', async (t) => {
  const map = s.record(s.string).decode(JSON.parse('{"__proto__":"x","constructor":"y"}'), 'map')
  t.strictSame(Object.keys(map), ['__proto__', 'constructor'])
  t.equal(Object.getPrototypeOf(map), Object.prototype)
})

t.test('the shape of a schema is plain JSON that differs when the schema does', async (t) => {
  const shape = (schema: s.Schema<unknown>): string => JSON.stringify(schema.shape)
  t.equal(shape(s.array(s.nullable(s.string))), '{"array":{"nullable":"string"}}')
  const one = shape(s.object({ a: s.string }))
  t.not(one, shape(s.object({ a: s.optional(s.string) })))
  t.not(one, shape(s.object({ a: s.natural })))
  t.not(one, shape(s.object({ b: s.string })))
})
