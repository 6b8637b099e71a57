declare const brand: unique symbol

/** A `T` that only a parser can make, so that a QueryId is not a TaskId. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
