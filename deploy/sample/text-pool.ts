import { Prng } from '@nyala/client/base'

/** Characters of each pool; a comment is a piece of it, so it must be much longer than the longest comment. */
export const POOL_LENGTH = 128 * 1024

/** Words as often as the specification has them: its queries look for some of them in comments. */
const NOUNS = [
  ...repeated(8, 'packages requests accounts deposits'),
  ...repeated(4, 'foxes ideas theodolites instructions'),
  ...repeated(2, 'dependencies excuses platelets asymptotes'),
  ...repeated(
    1,
    'courts dolphins multipliers sauternes warthogs frets dinos attainments somas braids hockey players frays ' +
      'warhorses dugouts notornis epitaphs pearls tithes waters orbits gifts sheaves depths sentiments decoys realms ' +
      'pains grouches escapades',
  ),
]
const VERBS = (
  'sleep wake are cajole haggle nag use boost affix detect integrate maintain nod was lose sublate solve thrash promise ' +
  'engage hinder print x-ray breach eat grow impress mold poach serve run dazzle snooze doze unwind kindle play hang ' +
  'believe doubt'
).split(' ')
const ADJECTIVES = [
  ...repeated(4, 'special pending express regular final ironic even bold silent'),
  ...repeated(
    1,
    'furious sly careful blithe quick fluffy slow quiet ruthless thin close dogged daring brave stealthy permanent ' +
      'enticing idle busy unusual',
  ),
]
const ADVERBS = (
  'sometimes always never furiously slyly carefully blithely quickly fluffily slowly quietly ruthlessly thinly closely ' +
  'doggedly daringly bravely stealthily permanently enticingly idly busily regularly finally ironically evenly boldly ' +
  'silently'
).split(' ')
const PREPOSITIONS = [
  ...'about above across after against along among around at before behind beneath beside'.split(
    ' ',
  ),
  ...'between beyond by despite during except for from inside into near of on outside over'.split(
    ' ',
  ),
  ...'past since through throughout to toward under until up upon without with within'.split(' '),
  ...['according to', 'alongside of', 'instead of', 'in place of', 'in addition to'],
]
const TERMINATORS = ['.', ';', ':', '?', '!', '--'] as const
const ADDRESS_CHARACTERS = '0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ,'

function repeated(times: number, words: string): readonly string[] {
  return Array.from({ length: times }, () => words.split(' ')).flat()
}

/** Sentences in the shape of the specification's pseudo text (4.2.2.14), the same on every run. */
export function sentencePool(): string {
  const random = new Prng(0x7e47)
  let pool = ''
  while (pool.length < POOL_LENGTH) pool += `${sentence(random)} `
  return pool.slice(0, POOL_LENGTH)
}

/** Characters of made-up addresses, the same on every run. */
export function addressPool(): string {
  const random = new Prng(0xadd2)
  const character = (): string => ADDRESS_CHARACTERS.charAt(random.below(ADDRESS_CHARACTERS.length))
  return Array.from({ length: POOL_LENGTH }, character).join('')
}

function sentence(random: Prng): string {
  const tail = random.chance(0.5) ? ` ${prepositional(random)}` : ''
  const end = random.chance(0.8) ? '.' : random.pick(TERMINATORS)
  return `${nounPhrase(random)} ${verbPhrase(random)}${tail}${end}`
}

function nounPhrase(random: Prng): string {
  const noun = random.pick(NOUNS)
  const shape = random.below(10)
  if (shape < 3) return noun
  if (shape < 6) return `${random.pick(ADJECTIVES)} ${noun}`
  if (shape < 8) return `${random.pick(ADJECTIVES)}, ${random.pick(ADJECTIVES)} ${noun}`
  return `${random.pick(ADVERBS)} ${random.pick(ADJECTIVES)} ${noun}`
}

function verbPhrase(random: Prng): string {
  const verb = random.pick(VERBS)
  return random.chance(0.5) ? verb : `${verb} ${random.pick(ADVERBS)}`
}

const prepositional = (random: Prng): string =>
  `${random.pick(PREPOSITIONS)} the ${nounPhrase(random)}`
