import { SqlError } from '@nyala/client/protocol'
import t from 'tap'
import { checkFields } from './struct-fields.ts'

function complaint(type: string, source: string): string | undefined {
  try {
    checkFields({ name: 's', type }, source, {})
    return undefined
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    return `${error.code} ${error.message.slice(error.message.indexOf(type) + type.length)}`
  }
}

t.test('a field that a column does not have is found wherever it is', (t) => {
  const cases: readonly (readonly [type: string, source: string, told: string | undefined])[] = [
    ['STRUCT("a" INTEGER)', 'STRUCT("a" VARCHAR)', undefined],
    ['STRUCT("a" INTEGER)', 'STRUCT("A" VARCHAR)', undefined],
    ['STRUCT("a" INTEGER, "b" DATE)', 'STRUCT("b" VARCHAR)', undefined],
    ['STRUCT("a" INTEGER)', "STRUCT(\"a\" INTEGER, \"b\" ENUM('x', 'it''s'))", '"b"'],
    ['STRUCT("a" INTEGER)', 'STRUCT("a" ENUM(\'x\', \'y\'), "b" INTEGER)', '"b"'],
    ['STRUCT("a" INTEGER)[]', 'STRUCT("b" INTEGER)[]', '"b"'],
    ['STRUCT("a" INTEGER)[]', 'STRUCT("b" INTEGER)[2]', '"b"'],
    ['MAP(VARCHAR, STRUCT("a" INTEGER))', 'MAP(VARCHAR, STRUCT("b" INTEGER))', '"b"'],
    ['MAP(STRUCT("a" INTEGER), VARCHAR)', 'MAP(STRUCT("b" INTEGER), VARCHAR)', '"b"'],
    [
      'STRUCT("a" STRUCT("x, y" INTEGER)[])',
      'STRUCT("a" STRUCT("x, y" INTEGER, "q""" INTEGER)[])',
      '"a"."q"""',
    ],
    // ROW(…) has places and no names; the kernel counts these.
    ['STRUCT("a" INTEGER, "b" INTEGER)', 'STRUCT("" INTEGER, "" INTEGER)', undefined],
    ['STRUCT("a" INTEGER)', 'STRUCT("" INTEGER, "" INTEGER)', undefined],
    [
      'STRUCT("a" STRUCT("x" INTEGER), "b" INTEGER)',
      'STRUCT("" STRUCT("x" INTEGER, "y" INTEGER), "" INTEGER)',
      '"a"."y"',
    ],
    ['STRUCT("a" STRUCT("x" INTEGER))', 'STRUCT("a" STRUCT("" INTEGER), "b" DATE)', '"b"'],
    // What has fields that cannot be told from its type.
    ['STRUCT("a" INTEGER)', 'VARIANT', 'takes no VARIANT: its fields are known row by row'],
    [
      'STRUCT("a" INTEGER)',
      'STRUCT("a" OTHER, "b" INTEGER)',
      'takes no STRUCT("a" OTHER, "b" INTEGER): which fields it has is not known here',
    ],
    // What no names go by.
    ['STRUCT("a" INTEGER)', 'VARCHAR', undefined],
    ['STRUCT("a" INTEGER)', 'JSON', undefined],
    ['STRUCT("a" INTEGER)', '"NULL"', undefined],
    ['VARCHAR', 'STRUCT("a" INTEGER)', undefined],
  ]
  for (const [type, source, field] of cases) {
    const what = field?.startsWith('"') === true ? `has no field ${field}` : field
    const told = what === undefined ? undefined : `42804  ${what}`
    t.equal(complaint(type, source), told, `${source} into ${type}`)
  }
  t.end()
})
