import { configurationError } from '../local/launcher-error.ts'

/** Rows of each table at a scale factor; the lines of an order are chosen order by order. */
export interface Sizes {
  readonly suppliers: number
  readonly customers: number
  readonly parts: number
  readonly orders: number
  readonly clerks: number
  /**
   * Distance between two of the four suppliers of a part, before it is shifted with the part's key. The shift of the
   * specification can make two of the four the same where there are few suppliers; it is left out there.
   */
  readonly supplierStep: number
  readonly supplierShift: boolean
}

/** At less there would be less than one row a supplier, clerk or customer segment. */
export const SCALE_FACTOR_MIN = 0.001
/** Keys of lines stay below the distance between two random streams up to here. */
export const SCALE_FACTOR_MAX = 1000

/** Fails with exit code 3 outside {@link SCALE_FACTOR_MIN} to {@link SCALE_FACTOR_MAX}. */
export function sizesAt(scaleFactor: number): Sizes {
  if (!(scaleFactor >= SCALE_FACTOR_MIN && scaleFactor <= SCALE_FACTOR_MAX)) {
    throw configurationError(
      `the scale factor is ${scaleFactor}, expected ${SCALE_FACTOR_MIN} to ${SCALE_FACTOR_MAX}`,
    )
  }
  const rows = (atOne: number): number => Math.max(1, Math.round(atOne * scaleFactor))
  const suppliers = rows(10_000)
  const parts = rows(200_000)
  const supplierStep = Math.floor(suppliers / 4)
  return {
    suppliers,
    customers: rows(150_000),
    parts,
    orders: rows(1_500_000),
    clerks: rows(1_000),
    supplierStep,
    supplierShift: shiftKeepsSuppliersApart({ suppliers, parts, supplierStep }),
  }
}

function shiftKeepsSuppliersApart(
  sizes: Pick<Sizes, 'suppliers' | 'parts' | 'supplierStep'>,
): boolean {
  const shiftMax = Math.floor((sizes.parts - 1) / sizes.suppliers)
  for (let shift = 0; shift <= shiftMax; shift++) {
    const step = sizes.supplierStep + shift
    for (const apart of [1, 2, 3]) if ((apart * step) % sizes.suppliers === 0) return false
  }
  return true
}
