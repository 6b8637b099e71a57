import t from 'tap'
import { type Bound, decodeBound, encodeBound } from './single-value.ts'

/** Bytes as the specification, or the reference implementation's tests, have them. */
const KNOWN: readonly (readonly [type: string, bound: Bound, hex: string])[] = [
  ['boolean', 0, '00'],
  ['boolean', 1, '01'],
  ['int', 84202, 'ea480100'],
  ['int', -1, 'ffffffff'],
  ['long', 200, 'c800000000000000'],
  ['long', '9223372036854775807', 'ffffffffffffff7f'],
  ['date', 1000, 'e8030000'],
  ['timestamp', 400000, '801a060000000000'],
  ['timestamptz', '-9223372036854775807', '0100000000000080'],
  ['string', 'ABC', '414243'],
  ['string', 'ü€', 'c3bce282ac'],
  ['decimal(9, 2)', 12345, '3039'],
  ['decimal(9, 2)', 0, '00'],
  ['decimal(9, 2)', -1, 'ff'],
  ['decimal(9, 2)', 128, '0080'],
  ['decimal(9, 2)', -128, '80'],
  [
    'decimal(38, 10)',
    '-99999999999999999999999999999999999999',
    'b4c4b357a5793b85f675ddc000000001',
  ],
]

t.test('bounds are written as the specification says, and read back', async (t) => {
  for (const [type, bound, hex] of KNOWN) {
    t.equal(encodeBound(type, bound)?.toString('hex'), hex, `${type} ${bound}`)
    t.equal(decodeBound(type, Buffer.from(hex, 'hex')), bound, `${hex} as ${type}`)
  }
})

t.test('a column that was widened from int to long keeps its bounds', async (t) => {
  t.equal(decodeBound('long', Buffer.from('ea480100', 'hex')), 84202)
})

t.test('what is no bound of the type is not taken for one', async (t) => {
  t.equal(decodeBound('int', Buffer.from('ea48', 'hex')), undefined)
  t.equal(decodeBound('timestamp', Buffer.from('ea480100', 'hex')), undefined)
  t.equal(decodeBound('string', Buffer.from('c3', 'hex')), undefined, 'cut within a character')
  for (const type of ['double', 'float', 'uuid', 'binary']) {
    t.equal(encodeBound(type, 1), undefined, 'behind a bound of numbers a NaN may hide')
    t.equal(decodeBound(type, Buffer.alloc(8)), undefined)
  }
})
