import { assert } from '@nyala/client/base'

/**
 * The form in which two texts are compared: DuckDB's own serialisation without places. Numbers stay
 * text, so no digit can get lost on the way. The pattern cannot match inside a string, where a quote
 * always has a backslash before it.
 */
export const canon = (serialized: string): string =>
  serialized.replace(/,(?<!\\)"query_location":\d+/g, '')

/**
 * Equal but for two lists whose order says nothing: grouping sets, which the parser numbers in order of
 * appearance, and the lists of a star, which it keeps in hash tables.
 */
export const looselyEqual = (a: string, b: string): boolean =>
  normalized(JSON.parse(quoteNumbers(a))) === normalized(JSON.parse(quoteNumbers(b)))

/** All numbers become texts: JavaScript would round the large ones. */
const quoteNumbers = (json: string): string =>
  json.replace(/((?<!\\)":)(-?(?:\d[\d.eE+-]*|Infinity|NaN))(?=[,}\]])/g, '$1"$2"')

type Json = string | boolean | null | readonly Json[] | { readonly [key: string]: Json }

const UNORDERED = new Set(['exclude_list', 'qualified_exclude_list', 'replace_list', 'rename_list'])

function normalized(value: Json): string {
  return JSON.stringify(normalize(value))
}

function normalize(value: Json): Json {
  if (Array.isArray(value)) return value.map((item: Json) => normalize(item))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value as Readonly<Record<string, Json>>)
  const object = Object.fromEntries(entries.map(([key, item]) => [key, normalizeField(key, item)]))
  return 'group_sets' in object ? withSortedSets(object) : object
}

function normalizeField(key: string, value: Json): Json {
  const item = normalize(value)
  if (!UNORDERED.has(key) || !Array.isArray(item)) return item
  return item.toSorted((a, b) => compareTexts(JSON.stringify(a), JSON.stringify(b)))
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Each set as the texts of its expressions, sorted, in place of indexes into a list. */
function withSortedSets(node: Readonly<Record<string, Json>>): Json {
  const expressions = node['group_expressions']
  const sets = node['group_sets']
  assert(Array.isArray(expressions) && Array.isArray(sets), 'a SELECT has grouping lists')
  const texts = sets.map((set: Json) => {
    assert(Array.isArray(set), 'a grouping set is a list')
    return set
      .map((index: Json) => JSON.stringify(expressions[Number(index)]))
      .toSorted(compareTexts)
      .join()
  })
  return { ...node, group_expressions: [], group_sets: texts.toSorted(compareTexts) }
}
