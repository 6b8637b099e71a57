/** Days of the Gregorian calendar without a clock or a time zone, for dates from year 1 to 9999. */

export interface CalendarDate {
  readonly year: number
  readonly month: number
  readonly day: number
}

const PATTERN = /^(\d{4})-(\d{2})-(\d{2})$/
const TIME_PATTERN = /^(\d{4}-\d{2}-\d{2}) 00:00:00(?:\.0+)?$/

/** Reads `1995-03-15`; undefined for what is no day. */
export function parseDate(text: string): CalendarDate | undefined {
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const [year = 0, month = 0, day = 0] = match.slice(1).map(Number)
  const isDay = year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
  return isDay ? { year, month, day } : undefined
}

/** Reads the midnight with which a day begins: `1995-03-15 00:00:00`. */
export function parseMidnight(text: string): CalendarDate | undefined {
  const day = TIME_PATTERN.exec(text)?.[1] ?? text
  return parseDate(day)
}

export const dateText = ({ year, month, day }: CalendarDate): string =>
  `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

const daysIn = (year: number, month: number): number =>
  month === 2 && isLeap(year) ? 29 : (DAYS[month - 1] ?? 0)

/** As the kernel does: a day that the month has not becomes its last. */
export function addMonths(date: CalendarDate, months: number): CalendarDate | undefined {
  const index = date.year * 12 + date.month - 1 + months
  const year = Math.floor(index / 12)
  const month = (index % 12) + 1
  if (year < 1 || year > 9999) return undefined
  return { year, month, day: Math.min(date.day, daysIn(year, month)) }
}

export function addDays(date: CalendarDate, days: number): CalendarDate | undefined {
  if (Math.abs(days) > 4_000_000) return undefined
  return dateOfNumber(numberOfDate(date) + days)
}

/** Days since 1 March of the year 0, so that a leap day is the last of its year. */
function numberOfDate({ year, month, day }: CalendarDate): number {
  const shifted = month > 2 ? year : year - 1
  const monthFromMarch = (month + 9) % 12
  const leaps = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400)
  return shifted * 365 + leaps + Math.floor((153 * monthFromMarch + 2) / 5) + day - 1
}

function dateOfNumber(number: number): CalendarDate | undefined {
  // An estimate that is never too late, and a step where it is too early.
  let shifted = Math.floor((number - 2) / 365.2425) + 1
  while (numberOfDate({ year: shifted, month: 3, day: 1 }) > number) shifted--
  const rest = number - numberOfDate({ year: shifted, month: 3, day: 1 })
  const monthFromMarch = Math.floor((5 * rest + 2) / 153)
  const day = rest - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  const month = ((monthFromMarch + 2) % 12) + 1
  const year = month > 2 ? shifted : shifted + 1
  return year < 1 || year > 9999 ? undefined : { year, month, day }
}
