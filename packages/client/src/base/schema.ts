/**
 * Decoders at the border: `unknown` in, exact type out, or a {@link DecodeError} that names the path.
 * Closed world: a field that is not declared is refused, so a newer peer cannot be half understood.
 * `shape` is the schema as data; its JSON is what the protocol hash is taken from.
 */
export interface Schema<T> {
  readonly shape: unknown
  decode(value: unknown, path: string): T
}

export type Infer<S> = S extends Schema<infer T> ? T : never

export class DecodeError extends Error {
  override readonly name = 'DecodeError'
}

const refuse = (path: string, wanted: string, got: unknown): never => {
  const found = got === null ? 'null' : Array.isArray(got) ? 'array' : typeof got
  throw new DecodeError(`${path}: expected ${wanted}, got ${found}`)
}

export const string: Schema<string> = {
  shape: 'string',
  decode: (v, path) => (typeof v === 'string' ? v : refuse(path, 'string', v)),
}
export const boolean: Schema<boolean> = {
  shape: 'boolean',
  decode: (v, path) => (typeof v === 'boolean' ? v : refuse(path, 'boolean', v)),
}
export const number: Schema<number> = {
  shape: 'number',
  decode: (v, path) => (typeof v === 'number' ? v : refuse(path, 'number', v)),
}
/** A whole number from 0 to 2^53 - 1. */
export const natural: Schema<number> = {
  shape: 'natural',
  decode: (v, path) =>
    Number.isSafeInteger(v) && (v as number) >= 0 ? (v as number) : refuse(path, 'natural', v),
}
/** Any JSON value, kept as it is; its reader decodes it further. */
export const json: Schema<unknown> = { shape: 'json', decode: (v) => v }

export const literal = <const L extends string | number | boolean | null>(
  wanted: L,
): Schema<L> => ({
  shape: { literal: wanted },
  decode: (v, path) => (v === wanted ? wanted : refuse(path, JSON.stringify(wanted), v)),
})

export const oneOf = <const L extends string>(...names: readonly L[]): Schema<L> => ({
  shape: { oneOf: names },
  decode: (v, path) =>
    names.includes(v as L) ? (v as L) : refuse(path, `one of ${names.join(', ')}`, v),
})

export const array = <T>(item: Schema<T>): Schema<readonly T[]> => ({
  shape: { array: item.shape },
  decode: (v, path) =>
    Array.isArray(v)
      ? v.map((element, i) => item.decode(element, `${path}[${i}]`))
      : refuse(path, 'array', v),
})

export const record = <T>(item: Schema<T>): Schema<Readonly<Record<string, T>>> => ({
  shape: { record: item.shape },
  decode(v, path) {
    if (!isObject(v)) return refuse(path, 'object', v)
    return Object.fromEntries(
      Object.entries(v).map(([key, value]) => [key, item.decode(value, `${path}.${key}`)]),
    )
  },
})

export const nullable = <T>(item: Schema<T>): Schema<T | null> => ({
  shape: { nullable: item.shape },
  decode: (v, path) => (v === null ? null : item.decode(v, path)),
})

export interface Optional<T> extends Schema<T | undefined> {
  readonly optional: true
}
export const optional = <T>(item: Schema<T>): Optional<T> => ({
  optional: true,
  shape: { optional: item.shape },
  decode: (v, path) => (v === undefined ? undefined : item.decode(v, path)),
})

type Fields = Readonly<Record<string, Schema<unknown>>>
type OptionalKeys<F extends Fields> = {
  [K in keyof F]: F[K] extends Optional<unknown> ? K : never
}[keyof F]
export type ObjectOf<F extends Fields> = {
  readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Infer<F[K]>
} & { readonly [K in OptionalKeys<F>]?: Infer<F[K]> }

export const object = <const F extends Fields>(fields: F): Schema<ObjectOf<F>> => ({
  shape: Object.fromEntries(Object.entries(fields).map(([name, f]) => [name, f.shape])),
  decode(v, path) {
    if (!isObject(v)) return refuse(path, 'object', v)
    const out: Record<string, unknown> = {}
    for (const key of Object.keys(v)) {
      if (!Object.hasOwn(fields, key)) throw new DecodeError(`${path}.${key}: unknown field`)
    }
    for (const [key, field] of Object.entries(fields)) {
      const value = field.decode(v[key], `${path}.${key}`)
      if (value !== undefined) out[key] = value
    }
    return out as ObjectOf<F>
  },
})

/** A union told apart by its `kind` field; `variants` maps each kind to the schema of its message. */
export const union = <const V extends Readonly<Record<string, Schema<{ readonly kind: string }>>>>(
  variants: V,
): Schema<Infer<V[keyof V]>> => ({
  shape: Object.fromEntries(Object.entries(variants).map(([kind, s]) => [kind, s.shape])),
  decode(v, path) {
    if (!isObject(v)) return refuse(path, 'object', v)
    const kind = v['kind']
    if (typeof kind !== 'string' || !Object.hasOwn(variants, kind)) {
      throw new DecodeError(`${path}.kind: unknown kind ${JSON.stringify(kind)}`)
    }
    const variant = variants[kind] as Schema<Infer<V[keyof V]>>
    return variant.decode(v, path)
  },
})

const isObject = (v: unknown): v is Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null && !Array.isArray(v)
