import { type ErrorName, isErrorName } from '@nyala/client/protocol'

/**
 * A statement may end its task by the kernel's `error('…')`, where the value of a column is none of its type. The text
 * begins with the name of the error that this is: the kernel has but one for all of them.
 */
export const refusedValue = (name: ErrorName): string => `nyala ${name}: `

/** Undefined: it is a text of somebody else. Pure. */
export function readRefusedValue(
  text: string,
): { readonly name: ErrorName; readonly message: string } | undefined {
  const [, name = '', message = ''] = /^nyala ([a-z_]+): ([^]*)$/.exec(text) ?? []
  return isErrorName(name) ? { name, message } : undefined
}

/** How the text begins that the kernel's binder gives to `error('…')` where a scalar subquery has several rows. */
export const MORE_THAN_ONE_ROW = 'More than one row returned by a subquery used as an expression'
